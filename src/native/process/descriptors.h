// Calls for the keeper's socket, for JavaScript; see native-process.ts.
#pragma once

#include <napi.h>

namespace carp {

void initDescriptors(Napi::Env env, Napi::Object exports);

}  // namespace carp
