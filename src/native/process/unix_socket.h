// Unix stream sockets that JavaScript serves itself: see unix_socket.cc.
#pragma once

#include <napi.h>

namespace carp {

void initUnixSocket(Napi::Env env, Napi::Object exports);

}  // namespace carp
