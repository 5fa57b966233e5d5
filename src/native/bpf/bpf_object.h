// The compiled carp.bpf.c inside this addon: loading it, its maps and programs; see native-bpf.ts.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>

namespace carp {

void initBpfObject(Napi::Env env, Napi::Object exports);

}  // namespace carp
