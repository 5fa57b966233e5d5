// Scheduling of this process's threads, for JavaScript; see native-process.ts.
#pragma once

#include <napi.h>

namespace carp {

void initScheduling(Napi::Env env, Napi::Object exports);

}  // namespace carp
