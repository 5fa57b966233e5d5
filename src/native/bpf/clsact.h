// The clsact qdisc of a device and its filters, for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

namespace carp {

void initClsact(Napi::Env env, Napi::Object exports);

}  // namespace carp
