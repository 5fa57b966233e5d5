// The class Poller, for JavaScript; see native-poller.ts.
#pragma once

#include <napi.h>

namespace carp {

void initPoller(Napi::Env env, Napi::Object exports);

}  // namespace carp
