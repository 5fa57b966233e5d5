#pragma once

#include <napi.h>

namespace carp {

// The clsact qdisc of a device and what hangs on it; see native.ts.
void initClsact(Napi::Env env, Napi::Object exports);

}  // namespace carp
