// carp.node: the operating system's calls that Node has no word for. It moves bytes and decides nothing.

#include <napi.h>

#include "bpf_filesystem.h"
#include "bpf_object.h"
#include "clock.h"
#include "clsact.h"
#include "descriptors.h"
#include "local.h"
#include "netlink.h"
#include "privileges.h"
#include "tcx.h"
#include "wire.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  carp::initBpfFilesystem(env, exports);
  carp::initBpfObject(env, exports);
  carp::initClock(env, exports);
  carp::initClsact(env, exports);
  carp::initDescriptors(env, exports);
  carp::initLocal(env, exports);
  carp::initNetlink(env, exports);
  carp::initPrivileges(env, exports);
  carp::initTcx(env, exports);
  carp::initWire(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(carp, init)
