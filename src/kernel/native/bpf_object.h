// carp.bpf.c as it is carried inside this addon, and what is loaded of it.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>

namespace carp {

void initBpfObject(Napi::Env env, Napi::Object exports);

}  // namespace carp
