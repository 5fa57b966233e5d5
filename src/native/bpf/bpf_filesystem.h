// Mounting and unmounting a bpffs, for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

namespace carp {

void initBpfFilesystem(Napi::Env env, Napi::Object exports);

}  // namespace carp
