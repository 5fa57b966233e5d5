// Programs of other owners on a device, for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

namespace carp {

void initOtherPrograms(Napi::Env env, Napi::Object exports);

}  // namespace carp
