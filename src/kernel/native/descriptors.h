#pragma once

#include <napi.h>

namespace carp {

void initDescriptors(Napi::Env env, Napi::Object exports);

}  // namespace carp
