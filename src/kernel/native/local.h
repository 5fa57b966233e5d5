#pragma once

#include <napi.h>

namespace carp {

void initLocal(Napi::Env env, Napi::Object exports);

}  // namespace carp
