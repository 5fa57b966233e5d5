// The class Sockets, for JavaScript; see native-sockets.ts.
#pragma once

#include <napi.h>

namespace carp {

void initWire(Napi::Env env, Napi::Object exports);

}  // namespace carp
