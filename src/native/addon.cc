// carp.node: system calls that Node does not offer. It moves bytes between the kernel and JavaScript and decides
// nothing.

#include <napi.h>

#include "bpf/bpf_object.h"
#include "process/clock.h"
#include "bpf/clsact.h"
#include "bpf/other_programs.h"
#include "process/local.h"
#include "process/memory.h"
#include "netlink/netlink.h"
#include "polling/poller.h"
#include "process/privileges.h"
#include "process/scheduling.h"
#include "process/tcp_socket.h"
#include "process/unix_socket.h"
#include "bpf/tcx.h"
#include "sockets/hmac_sha1.h"
#include "sockets/neighbour_socket.h"
#include "sockets/wire.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  carp::initBpfObject(env, exports);
  carp::initClock(env, exports);
  carp::initClsact(env, exports);
  carp::initHmacSha1(env, exports);
  carp::initLocal(env, exports);
  carp::initMemory(env, exports);
  carp::initNeighbourSocket(env, exports);
  carp::initNetlink(env, exports);
  carp::initOtherPrograms(env, exports);
  carp::initPoller(env, exports);
  carp::initPrivileges(env, exports);
  carp::initScheduling(env, exports);
  carp::initTcpSocket(env, exports);
  carp::initTcx(env, exports);
  carp::initUnixSocket(env, exports);
  carp::initWire(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(carp, init)
