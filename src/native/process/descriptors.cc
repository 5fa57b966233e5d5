// Calls for the keeper's socket: a pair of sockets, sending a descriptor through one, keeping one open across exec; and
// waiting for a child whose end such a socket reports.

#include "process/descriptors.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/arguments.h"

namespace carp {
namespace {

Napi::Value result(const Napi::CallbackInfo& info, bool failed) {
  return Napi::Number::New(info.Env(), failed ? errno : 0);
}

// socketPair(): two stream sockets, closed on exec; or an errno
Napi::Value socketPair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return result(info, true);
  Napi::Array pair = Napi::Array::New(env, 2);
  for (uint32_t i = 0; i < 2; i++) pair.Set(i, Napi::Number::New(env, ends[i]));
  return pair;
}

// sendByte(socket, byte, descriptor): never waits; a descriptor goes along unless it is negative. 0 or an errno.
Napi::Value sendByte(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::int32, Argument::int32})) return {};
  char byte = static_cast<char>(info[1].As<Napi::Number>().Int32Value());
  const int descriptor = info[2].As<Napi::Number>().Int32Value();
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof descriptor)]{};
  iovec bytes{&byte, 1};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  return result(info, sendmsg(info[0].As<Napi::Number>().Int32Value(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0);
}

// keepAcrossExec(fd, keep): 0 or an errno
Napi::Value keepAcrossExec(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::boolean})) return {};
  const int flags = info[1].As<Napi::Boolean>() ? 0 : FD_CLOEXEC;
  return result(info, fcntl(info[0].As<Napi::Number>().Int32Value(), F_SETFD, flags) < 0);
}

// reap(pid): waits for a child that is ending. 0 or an errno.
Napi::Value reap(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  pid_t waited;
  do {
    waited = waitpid(info[0].As<Napi::Number>().Int32Value(), nullptr, 0);
  } while (waited < 0 && errno == EINTR);
  return result(info, waited < 0);
}

}  // namespace

void initDescriptors(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New(env, socketPair));
  exports.Set("sendByte", Napi::Function::New(env, sendByte));
  exports.Set("keepAcrossExec", Napi::Function::New(env, keepAcrossExec));
  exports.Set("reap", Napi::Function::New(env, reap));
}

}  // namespace carp
