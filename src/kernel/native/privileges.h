#pragma once

#include <napi.h>

namespace carp {

void initPrivileges(Napi::Env env, Napi::Object exports);

}  // namespace carp
