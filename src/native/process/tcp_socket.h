// Calls about listening TCP sockets, for JavaScript; see native-tcp-sockets.ts.
#pragma once

#include <napi.h>

namespace carp {

void initTcpSocket(Napi::Env env, Napi::Object exports);

}  // namespace carp
