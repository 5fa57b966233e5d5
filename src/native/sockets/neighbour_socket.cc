// Opens, filters and reads the socket of the class NeighbourSocket; neighbour_socket.h says what it is for.

#include "sockets/neighbour_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "support/arguments.h"
#include "support/descriptor.h"

namespace carp {
namespace {

constexpr uint32_t ancillary(int32_t offset) { return static_cast<uint32_t>(SKF_AD_OFF + offset); }

// Accepts ARP replies, and ICMPv6 neighbour advertisements without extension headers, that arrive here without a VLAN:
// those to a virtual MAC are another host's for the device.
int attachFilter(int fd) {
  constexpr uint32_t kReply = 2;
  constexpr uint32_t kIcmp6 = 58;
  constexpr uint32_t kNeighbourAdvertisement = 136;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, PACKET_OTHERHOST, 11, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_VLAN_TAG)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x0fff, 9, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 2),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 14 + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kReply, 6, 5),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmp6, 0, 2),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 40),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNeighbourAdvertisement, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0x40000),
  };
  const sock_fprog program = {sizeof code / sizeof code[0], code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

class NeighbourSocket : public Napi::ObjectWrap<NeighbourSocket> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("NeighbourSocket", DefineClass(env, "NeighbourSocket",
                                               {
                                                   InstanceMethod<&NeighbourSocket::open>("open"),
                                                   InstanceMethod<&NeighbourSocket::send>("send"),
                                                   InstanceMethod<&NeighbourSocket::receive>("receive"),
                                                   InstanceMethod<&NeighbourSocket::close>("close"),
                                               }));
  }

  explicit NeighbourSocket(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  // open(index): 0 or an errno
  Napi::Value open(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::int32})) return {};
    // Protocol 0 receives nothing: by the time bind() turns reception on, the filter is in place.
    Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = info[0].As<Napi::Number>().Int32Value();
    const bool isOpen = socket.open() && attachFilter(socket.get()) == 0 &&
                        bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int error = isOpen ? 0 : errno;
    if (isOpen) socket_ = std::move(socket);
    return Napi::Number::New(info.Env(), error);
  }

  // send(frame): 0 or an errno
  Napi::Value send(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::bytes})) return {};
    const auto frame = info[0].As<Napi::Uint8Array>();
    const ssize_t sent = ::send(socket_.get(), frame.Data(), frame.ByteLength(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return Napi::Number::New(info.Env(), sent < 0 ? errno : 0);
  }

  // receive(): Uint8Array | undefined, the next frame that has arrived
  Napi::Value receive(const Napi::CallbackInfo& info) {
    std::array<uint8_t, ETH_FRAME_LEN> buffer;
    const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length < 0) return info.Env().Undefined();
    auto frame = Napi::Uint8Array::New(info.Env(), static_cast<size_t>(length));
    std::copy_n(buffer.data(), length, frame.Data());
    return frame;
  }

  void close(const Napi::CallbackInfo&) { socket_ = Descriptor(); }

  Descriptor socket_;
};

}  // namespace

void initNeighbourSocket(Napi::Env env, Napi::Object exports) { NeighbourSocket::init(env, exports); }

}  // namespace carp
