// The class NetlinkSocket, for JavaScript; see native-netlink.ts.
#pragma once

#include <napi.h>

namespace carp {

void initNetlink(Napi::Env env, Napi::Object exports);

}  // namespace carp
