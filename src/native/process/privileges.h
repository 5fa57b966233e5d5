// Giving up root, lifting RLIMIT_MEMLOCK and finding users, for JavaScript; see native-process.ts.
#pragma once

#include <napi.h>

namespace carp {

void initPrivileges(Napi::Env env, Napi::Object exports);

}  // namespace carp
