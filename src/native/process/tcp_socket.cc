// Listening TCP sockets, which Node makes only to accept from them as fast as clients come. What is accepted from
// these is read and written by the calls of unix_socket.cc, which take any stream socket.

#include "process/tcp_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "support/arguments.h"
#include "support/descriptor.h"

namespace carp {
namespace {

bool set(const Descriptor& socket, int level, int option, int value) {
  return setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

// A descriptor; -1 with errno.
int listenAt(int family, const sockaddr* address, socklen_t length, int backlog) {
  // Connections inherit both: a client that never reads takes little of the kernel's memory, and not for long.
  constexpr int kSendBytes = 128 << 10;
  constexpr int kUnreadMs = 10'000;
  Descriptor opened(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!opened.open() || !set(opened, SOL_SOCKET, SO_REUSEADDR, 1) ||
      // The address may come later.
      !(family == AF_INET ? set(opened, IPPROTO_IP, IP_FREEBIND, 1) : set(opened, IPPROTO_IPV6, IPV6_FREEBIND, 1)) ||
      !set(opened, SOL_SOCKET, SO_SNDBUF, kSendBytes) ||
      !set(opened, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnreadMs) ||
      bind(opened.get(), address, length) < 0 || listen(opened.get(), backlog) < 0)
    return -1;
  return opened.release();
}

// listenTcp(address, port, backlog): a descriptor; or -errno.
Napi::Value listenTcp(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text, Argument::uint32, Argument::int32})) return {};
  const std::string text = info[0].As<Napi::String>().Utf8Value();
  const auto port = htons(static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value()));
  const int backlog = info[2].As<Napi::Number>().Int32Value();
  sockaddr_in ipv4{};
  sockaddr_in6 ipv6{};
  int result = -1;
  if (inet_pton(AF_INET, text.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = port;
    result = listenAt(AF_INET, reinterpret_cast<const sockaddr*>(&ipv4), sizeof ipv4, backlog);
  } else if (inet_pton(AF_INET6, text.c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = port;
    result = listenAt(AF_INET6, reinterpret_cast<const sockaddr*>(&ipv6), sizeof ipv6, backlog);
  } else {
    errno = EINVAL;
  }
  return Napi::Number::New(info.Env(), result < 0 ? -errno : result);
}

}  // namespace

void initTcpSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("listenTcp", Napi::Function::New(env, listenTcp));
}

}  // namespace carp
