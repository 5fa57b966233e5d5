// Calls about this host and to its system log and service manager, for JavaScript; see native-process.ts.
#pragma once

#include <napi.h>

namespace carp {

void initLocal(Napi::Env env, Napi::Object exports);

}  // namespace carp
