#pragma once

#include <napi.h>

namespace carp {

void initWire(Napi::Env env, Napi::Object exports);

}  // namespace carp
