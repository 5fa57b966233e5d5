// Programs on a device without a qdisc (TCX, Linux 6.6), for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

namespace carp {

// The programs on a device, in the order they run.
struct TcxPrograms {
  std::vector<uint32_t> ids;
  uint64_t revision;
  // 0 or an errno
  int error;
};

TcxPrograms tcxProgramsOn(uint32_t ifindex, bool ingress);

// Puts a program in the place of another, without a packet between; -1: before all others. 0 or an errno.
int attachTcx(int program, uint32_t ifindex, bool ingress, int replaced);

void initTcx(Napi::Env env, Napi::Object exports);

}  // namespace carp
