// Opens, filters, joins and reads an AF_PACKET socket; packet_socket.h has its interface.

#include "sockets/packet_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

// Kernel 4.20; Debian's oldest headers lack it.
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

namespace carp {
namespace {

constexpr int kReceiveBufferBytes = 1 << 20;
constexpr int kSendPriority = 7;
constexpr MacAddress kGroupMac4 = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x12};
constexpr MacAddress kGroupMac6 = {0x33, 0x33, 0x00, 0x00, 0x00, 0x12};

constexpr uint32_t ancillary(int32_t offset) { return static_cast<uint32_t>(SKF_AD_OFF + offset); }

// Accepts IP protocol 112 of either family that is for this host (PACKET_HOST, _BROADCAST, _MULTICAST: 0 to 2; not
// _OTHERHOST, not what left this host) and carries no VLAN. A tag of VLAN 0 is only a priority.
int attachFilter(int fd) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, PACKET_MULTICAST, 9, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_VLAN_TAG)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x0fff, 7, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 2),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 9),
      BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 2),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 112, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0x40000),
  };
  const sock_fprog program = {sizeof code / sizeof code[0], code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int setInt(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

// IGMP and MLD reports make snooping switches forward carp's groups to us. An interface without that family, or a
// host at its limit of memberships, still receives what the switch floods: that is no error. Lack of descriptors or
// memory is one: it passes, and nobody would join later.
bool isLack(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS; }

Descriptor joinGroup4(int ifindex) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ip_mreqn group{};
  group.imr_multiaddr.s_addr = htonl(0xe0000012);
  group.imr_ifindex = ifindex;
  if (socket.open()) setsockopt(socket.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group);
  return socket;
}

Descriptor joinGroup6(int ifindex) {
  Descriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ipv6_mreq group{};
  group.ipv6mr_multiaddr.s6_addr[0] = 0xff;
  group.ipv6mr_multiaddr.s6_addr[1] = 0x02;
  group.ipv6mr_multiaddr.s6_addr[15] = 0x12;
  group.ipv6mr_interface = static_cast<unsigned>(ifindex);
  if (socket.open()) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group, sizeof group);
  return socket;
}

}  // namespace

Failure PacketSocket::open(int ifindex) {
  // Protocol 0 receives nothing: by the time bind() turns reception on, the filter is in place.
  packet_ = Descriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = packet_.get();
  if (fd < 0) return {"socket", errno};
  ifindex_ = ifindex;
  if (attachFilter(fd) < 0) return {"SO_ATTACH_FILTER", errno};
  if (setInt(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) < 0) return {"SO_TIMESTAMPNS", errno};
  if (setInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBufferBytes) < 0) {
    setInt(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  }
  setInt(fd, SOL_SOCKET, SO_PRIORITY, kSendPriority);
  // The filter refuses outgoing frames too; this spares the kernel the copy, where it knows the option.
  setInt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return {"bind", errno};
  for (const MacAddress& mac : {kGroupMac4, kGroupMac6}) {
    const int error = membership(PACKET_ADD_MEMBERSHIP, mac);
    if (error != 0) return {"PACKET_ADD_MEMBERSHIP", error};
  }
  group4_ = joinGroup4(ifindex);
  if (!group4_.open() && isLack(errno)) return {"socket", errno};
  group6_ = joinGroup6(ifindex);
  if (!group6_.open() && isLack(errno)) return {"socket", errno};
  return {};
}

bool PacketSocket::isBound() const {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  return getsockname(packet_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
         address.sll_ifindex == ifindex_;
}

void PacketSocket::rejoin() {
  // Closed first: closing drops the membership from the device, whether or not it is a new one by then.
  group6_ = Descriptor();
  group6_ = joinGroup6(ifindex_);
}

int PacketSocket::send(const uint8_t* frame, size_t length) {
  int error = 0;
  // The kernel reports a past error of the device (it was down for a moment) to the next call, once: only the second
  // attempt tells the present state.
  for (int attempt = 0; attempt < 2; attempt++) {
    ssize_t sent;
    do {
      sent = ::send(packet_.get(), frame, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return 0;
    error = errno;
    if (error != ENETDOWN) break;
  }
  return error;
}

int PacketSocket::membership(int option, const MacAddress& mac) {
  packet_mreq request{};
  request.mr_ifindex = ifindex_;
  request.mr_type = PACKET_MR_MULTICAST;
  request.mr_alen = static_cast<unsigned short>(mac.size());
  std::memcpy(request.mr_address, mac.data(), mac.size());
  return setsockopt(packet_.get(), SOL_PACKET, option, &request, sizeof request) < 0 ? errno : 0;
}

}  // namespace carp
