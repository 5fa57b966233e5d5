// Opens, filters and reads a raw IP socket, and sends through it; raw_socket.h has its interface.

#include "sockets/raw_socket.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace carp {
namespace {

constexpr int kCarp = 112;
constexpr int kHops = 255;
constexpr int kSendPriority = 7;
constexpr int kReceiveBufferBytes = 64 * 1024;
constexpr size_t kBatch = 32;

int setInt(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

int configure4(int fd) {
  if (setInt(fd, IPPROTO_IP, IP_PKTINFO, 1) < 0) return -1;
  if (setInt(fd, IPPROTO_IP, IP_TTL, kHops) < 0) return -1;
  return setInt(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
}

int configure6(int fd) {
  if (setInt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) < 0) return -1;
  if (setInt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, kHops) < 0) return -1;
  // The checksum is CARP's own, without a pseudo-header: the kernel must neither compute nor check one.
  if (setInt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, -1) < 0) return -1;
  return setInt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
}

// Writes a control header of this type with `data`. Returns the next free byte after it.
template <typename T>
uint8_t* control(uint8_t* at, int level, int type, const T& data) {
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof data);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &data, sizeof data);
  return at + CMSG_SPACE(sizeof data);
}

int interfaceOf(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      return info.ipi_ifindex;
    }
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      return static_cast<int>(info.ipi6_ifindex);
    }
  }
  return 0;
}

}  // namespace

Failure RawSocket::open() {
  const int domain = family_ == 4 ? AF_INET : AF_INET6;
  Descriptor socket(::socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kCarp));
  const int fd = socket.get();
  if (fd < 0) return {"socket", errno};
  if ((family_ == 4 ? configure4(fd) : configure6(fd)) < 0) return {"setsockopt", errno};
  // The first advertisement may leave before the source address has been put on its device.
  if (family_ == 4) {
    setInt(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
  } else {
    setInt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
  }
  setInt(fd, SOL_SOCKET, SO_PRIORITY, kSendPriority);
  setInt(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  socket_ = std::move(socket);
  return {};
}

void RawSocket::exclude(const std::vector<int>& ifindexes) {
  if (!isOpen()) return;
  std::vector<sock_filter> code;
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_IFINDEX)));
  // Beyond the kernel's limit of instructions, TypeScript sorts out the rest.
  const size_t count = std::min(ifindexes.size(), size_t{(BPF_MAXINSNS - 2) / 2});
  for (size_t i = 0; i < count; i++) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(ifindexes[i]), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, 0x40000));
  const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
  setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int RawSocket::send(const uint8_t* source, const uint8_t* destination, int trafficClass, int scope,
                    const uint8_t* payload, size_t length) {
  if (!isOpen()) return EAFNOSUPPORT;
  iovec data = {const_cast<uint8_t*>(payload), length};
  sockaddr_in to4{};
  sockaddr_in6 to6{};
  alignas(cmsghdr) uint8_t ancillary[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))] = {};
  uint8_t* end = ancillary;
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = ancillary;
  if (family_ == 4) {
    to4.sin_family = AF_INET;
    std::memcpy(&to4.sin_addr, destination, sizeof to4.sin_addr);
    message.msg_name = &to4;
    message.msg_namelen = sizeof to4;
    in_pktinfo info{};
    info.ipi_ifindex = scope;
    std::memcpy(&info.ipi_spec_dst, source, sizeof info.ipi_spec_dst);
    end = control(end, IPPROTO_IP, IP_PKTINFO, info);
    end = control(end, IPPROTO_IP, IP_TOS, trafficClass);
  } else {
    to6.sin6_family = AF_INET6;
    to6.sin6_scope_id = static_cast<uint32_t>(scope);
    std::memcpy(&to6.sin6_addr, destination, sizeof to6.sin6_addr);
    message.msg_name = &to6;
    message.msg_namelen = sizeof to6;
    in6_pktinfo info{};
    info.ipi6_ifindex = static_cast<unsigned>(scope);
    std::memcpy(&info.ipi6_addr, source, sizeof info.ipi6_addr);
    end = control(end, IPPROTO_IPV6, IPV6_PKTINFO, info);
    end = control(end, IPPROTO_IPV6, IPV6_TCLASS, trafficClass);
  }
  message.msg_controllen = static_cast<size_t>(end - ancillary);
  ssize_t sent;
  do {
    sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

bool RawSocket::read(size_t limit, std::vector<Stray>& strays) {
  if (!isOpen()) return false;
  mmsghdr messages[kBatch] = {};
  iovec data[kBatch];
  uint8_t bytes[kBatch];
  alignas(cmsghdr) uint8_t ancillary[kBatch][CMSG_SPACE(sizeof(in6_pktinfo))];
  for (size_t i = 0; i < kBatch; i++) {
    data[i] = {&bytes[i], 1};
    messages[i].msg_hdr.msg_iov = &data[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = ancillary[i];
    messages[i].msg_hdr.msg_controllen = sizeof ancillary[i];
  }
  const size_t wanted = std::min(limit, kBatch);
  const int count = recvmmsg(socket_.get(), messages, static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; i++) strays.push_back({interfaceOf(messages[i].msg_hdr), family_});
  return count == static_cast<int>(wanted);
}

}  // namespace carp
