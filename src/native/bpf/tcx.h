// Programs on a device without a qdisc (TCX, Linux 6.6), for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

#include <cstdint>

namespace carp {

// Puts a program in the place of another, without a packet between; -1: before all others. 0 or an errno.
int attachTcx(int program, uint32_t ifindex, bool ingress, int replaced);

void initTcx(Napi::Env env, Napi::Object exports);

}  // namespace carp
