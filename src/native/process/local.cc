// Calls about this host: credentials of a Unix socket's peer, group ids, interface names, clock synchronisation;
// sending datagrams to a Unix socket (the system log, the service manager); polling a pipe; and locking a file.

#include "process/local.h"

#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "support/arguments.h"
#include "support/descriptor.h"

// Kernel 4.13.
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

namespace carp {
namespace {

std::vector<gid_t> peerGroups(int fd) {
  std::vector<gid_t> groups(32);
  for (int attempt = 0; attempt < 3; attempt++) {
    socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return groups;
    }
    // ERANGE leaves the size that is needed in `bytes`.
    if (errno != ERANGE) break;
    groups.resize(bytes / sizeof(gid_t));
  }
  return {};
}

// peerCredentials(fd): { pid, uid, gid, groups } | undefined
Napi::Value peerCredentials(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  const Napi::Env env = info.Env();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0) return env.Undefined();
  // The answer for a socket that is no Unix socket, or has no peer.
  if (peer.uid == static_cast<uid_t>(-1)) return env.Undefined();
  const std::vector<gid_t> groups = peerGroups(fd);
  Napi::Array list = Napi::Array::New(env, groups.size());
  for (size_t i = 0; i < groups.size(); i++) list.Set(static_cast<uint32_t>(i), Napi::Number::New(env, groups[i]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  result.Set("groups", list);
  return result;
}

// groupId(name): number | undefined
Napi::Value groupId(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const Napi::Env env = info.Env();
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  constexpr size_t kLargestEntry = 1 << 20;
  std::vector<char> buffer(4096);
  for (;;) {
    group entry{};
    group* found = nullptr;
    const int error = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && buffer.size() < kLargestEntry) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (error != 0 || found == nullptr) return env.Undefined();
    return Napi::Number::New(env, found->gr_gid);
  }
}

// interfaceIndexes(): number[]
Napi::Value interfaceIndexes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  struct if_nameindex* found = if_nameindex();
  if (found == nullptr) return list;
  for (uint32_t i = 0; found[i].if_index != 0; i++) list.Set(i, Napi::Number::New(env, found[i].if_index));
  if_freenameindex(found);
  return list;
}

// interfaceName(ifindex): string | undefined
Napi::Value interfaceName(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32})) return {};
  char name[IF_NAMESIZE];
  if (if_indextoname(info[0].As<Napi::Number>().Uint32Value(), name) == nullptr) return info.Env().Undefined();
  return Napi::String::New(info.Env(), name);
}

// sendDatagram(path, bytes): 0 or an errno. A path that begins with a NUL is abstract.
Napi::Value sendDatagram(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text, Argument::bytes})) return {};
  // Never connected: a log daemon that was restarted is found again by its path.
  static Descriptor socket;
  const Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const auto bytes = info[1].As<Napi::Uint8Array>();
  sockaddr_un to{};
  if (path.empty() || path.size() >= sizeof to.sun_path) return Napi::Number::New(env, ENAMETOOLONG);
  if (!socket.open()) socket = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.open()) return Napi::Number::New(env, errno);
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.data(), path.size());
  // An abstract name is as long as it is said to be; a path ends with its NUL.
  const size_t length = offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '\0' ? 0 : 1);
  ssize_t sent;
  do {
    sent = sendto(socket.get(), bytes.Data(), bytes.ByteLength(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<sockaddr*>(&to), static_cast<socklen_t>(length));
  } while (sent < 0 && errno == EINTR);
  return Napi::Number::New(env, sent < 0 ? errno : 0);
}

// hasRoom(fd): whether a short line can be written to it now without waiting.
Napi::Value hasRoom(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  pollfd asked{info[0].As<Napi::Number>().Int32Value(), POLLOUT, 0};
  return Napi::Boolean::New(info.Env(), poll(&asked, 1, 0) == 1);
}

// isRead(fd): whether the other end of this pipe or socket is open.
Napi::Value isRead(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  pollfd asked{info[0].As<Napi::Number>().Int32Value(), 0, 0};
  return Napi::Boolean::New(info.Env(), poll(&asked, 1, 0) == 0);
}

// lockFile(fd): 0 or an errno; EWOULDBLOCK: another process has it. The lock goes with the last copy of the descriptor.
Napi::Value lockFile(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  int error;
  do {
    error = flock(info[0].As<Napi::Number>().Int32Value(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  } while (error == EINTR);
  return Napi::Number::New(info.Env(), error);
}

// clockIsSynchronised(): undefined where the kernel does not say.
Napi::Value clockIsSynchronised(const Napi::CallbackInfo& info) {
  timex asked{};
  if (adjtimex(&asked) < 0) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), (asked.status & STA_UNSYNC) == 0);
}

}  // namespace

void initLocal(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, peerCredentials));
  exports.Set("groupId", Napi::Function::New(env, groupId));
  exports.Set("interfaceIndexes", Napi::Function::New(env, interfaceIndexes));
  exports.Set("interfaceName", Napi::Function::New(env, interfaceName));
  exports.Set("hasRoom", Napi::Function::New(env, hasRoom));
  exports.Set("isRead", Napi::Function::New(env, isRead));
  exports.Set("lockFile", Napi::Function::New(env, lockFile));
  exports.Set("clockIsSynchronised", Napi::Function::New(env, clockIsSynchronised));
  exports.Set("sendDatagram", Napi::Function::New(env, sendDatagram));
}

}  // namespace carp
