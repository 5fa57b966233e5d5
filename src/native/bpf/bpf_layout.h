// The layout of the compiled object's types and maps, for JavaScript; see native-bpf.ts.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

namespace carp {

// { structs, enums, variables, maps } of an opened object: names, offsets and sizes in bytes; see native-bpf.ts.
Napi::Object layoutOf(Napi::Env env, const bpf_object* object);

}  // namespace carp
