#pragma once

#include <napi.h>

namespace carp {

void initNetlink(Napi::Env env, Napi::Object exports);

}  // namespace carp
