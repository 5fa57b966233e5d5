// Samples: the state of a link, the programs on a device, a file's identity, a short file's text, and page faults.

#include "polling/samples.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string_view>

#include "bpf/clsact.h"
#include "bpf/tcx.h"
#include "polling/link_state.h"

// linux/rtnetlink.h, since Linux 5.16. A kernel without it answers with statistics.
#ifndef RTEXT_FILTER_SKIP_STATS
#define RTEXT_FILTER_SKIP_STATS 8
#endif

namespace carp {
namespace {

uint64_t hashOf(std::string_view bytes) { return std::hash<std::string_view>()(bytes); }

template <typename Number>
void append(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

uint64_t programs(uint32_t ifindex) {
  std::string bytes;
  for (const bool ingress : {true, false}) {
    const TcxPrograms found = tcxProgramsOn(ifindex, ingress);
    append(bytes, found.error);
    append(bytes, found.ids.size());
    for (const uint32_t id : found.ids) append(bytes, id);
  }
  return hashOf(bytes);
}

uint64_t filters(uint32_t ifindex) {
  std::string bytes;
  for (const bool ingress : {true, false}) {
    const Filters found = filtersOn(static_cast<int>(ifindex), ingress);
    append(bytes, found.error);
    append(bytes, found.filters.size());
    for (const auto& [priority, handle, chain, kind, name] : found.filters) {
      for (const uint32_t number : {priority, handle, chain}) append(bytes, number);
      bytes.append(kind).push_back('\0');
      bytes.append(name).push_back('\0');
    }
  }
  return hashOf(bytes);
}

uint64_t file(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) < 0) return static_cast<uint64_t>(errno);
  std::string bytes;
  append(bytes, found.st_dev);
  append(bytes, found.st_ino);
  append(bytes, found.st_ctim.tv_sec);
  append(bytes, found.st_ctim.tv_nsec);
  return hashOf(bytes);
}

uint64_t text(const std::string& path) {
  const Descriptor opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[64];
  const ssize_t length = opened.open() ? read(opened.get(), bytes, sizeof bytes) : -1;
  return length < 0 ? static_cast<uint64_t>(errno) : hashOf({bytes, static_cast<size_t>(length)});
}

uint64_t faults(uint64_t step) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<uint64_t>(used.ru_minflt) / (step == 0 ? 1 : step);
}

// A socket for questions to the kernel, which answers before it returns from the request: what takes longer is lost.
Descriptor openSocket() {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const timeval limit = {1, 0};
  if (socket.open()) setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return socket;
}

}  // namespace

uint64_t linkSample(const uint8_t* body, size_t length) { return hashOf(linkState(body, length)); }

// Any failure counts as a state, too: what is asked then finds out more.
uint64_t Sampler::link(uint32_t ifindex) {
  if (!socket_.open()) socket_ = openSocket();
  struct {
    nlmsghdr header;
    ifinfomsg link;
    rtattr attribute;
    uint32_t mask;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_seq = ++sequence_;
  request.link.ifi_index = static_cast<int>(ifindex);
  request.attribute.rta_len = RTA_LENGTH(sizeof request.mask);
  request.attribute.rta_type = IFLA_EXT_MASK;
  request.mask = RTEXT_FILTER_SKIP_STATS;
  if (send(socket_.get(), &request, sizeof request, 0) < 0) return static_cast<uint64_t>(errno);
  alignas(nlmsghdr) uint8_t answer[1 << 15];
  for (;;) {
    const ssize_t length = recv(socket_.get(), answer, sizeof answer, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < static_cast<ssize_t>(sizeof(nlmsghdr))) return static_cast<uint64_t>(errno);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    // The late answer to a question that was given up.
    if (header->nlmsg_seq != sequence_) continue;
    if (!NLMSG_OK(header, static_cast<size_t>(length)) || header->nlmsg_type != RTM_NEWLINK) return ENODEV;
    return linkSample(static_cast<const uint8_t*>(NLMSG_DATA(header)), NLMSG_PAYLOAD(header, 0));
  }
}

uint64_t Sampler::sample(Kind kind, const std::string& key) {
  const auto number = static_cast<uint32_t>(std::strtoul(key.c_str(), nullptr, 10));
  switch (kind) {
    case Kind::link:
      return link(number);
    case Kind::tcx:
      return programs(number);
    case Kind::clsact:
      return filters(number);
    case Kind::file:
      return file(key);
    case Kind::text:
      return text(key);
    case Kind::faults:
      return faults(number);
  }
  return 0;
}

}  // namespace carp
