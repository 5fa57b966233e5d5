// Memory that the process needs no longer, for JavaScript; see native-process.ts.
#pragma once

#include <napi.h>

namespace carp {

void initMemory(Napi::Env env, Napi::Object exports);

}  // namespace carp
