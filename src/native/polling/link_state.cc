// What the program reads of a link message: a bridge's timers, statistics and the like change without a change that
// matters, so only these attributes are compared.

#include "polling/link_state.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstddef>
#include <string_view>

namespace carp {
namespace {

template <typename Take>
void eachAttribute(const uint8_t* bytes, size_t length, Take take) {
  int left = static_cast<int>(length);
  for (auto* at = reinterpret_cast<const rtattr*>(bytes); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    take(at->rta_type & NLA_TYPE_MASK, static_cast<const uint8_t*>(RTA_DATA(at)), RTA_PAYLOAD(at));
  }
}

void append(std::string& state, int type, const uint8_t* data, size_t length) {
  state.push_back(static_cast<char>(type));
  state.append(reinterpret_cast<const char*>(data), length);
}

// The kernel tells the kind before its data.
void appendInfo(std::string& state, const uint8_t* info, size_t length) {
  bool isMacvlan = false;
  eachAttribute(info, length, [&](int type, const uint8_t* data, size_t size) {
    if (type == IFLA_INFO_KIND) isMacvlan = std::string_view(reinterpret_cast<const char*>(data), size).substr(0, 7) == "macvlan";
    if (type == IFLA_INFO_KIND || (type == IFLA_INFO_DATA && isMacvlan)) append(state, type, data, size);
  });
}

void appendSettings(std::string& state, const uint8_t* specification, size_t length) {
  eachAttribute(specification, length, [&](int family, const uint8_t* settings, size_t size) {
    eachAttribute(settings, size, [&](int type, const uint8_t* data, size_t bytes) {
      const bool matters = (family == AF_INET && type == IFLA_INET_CONF) ||
                           (family == AF_INET6 && (type == IFLA_INET6_CONF || type == IFLA_INET6_ADDR_GEN_MODE));
      if (matters) append(state, type, data, bytes);
    });
  });
}

}  // namespace

std::string linkState(const uint8_t* body, size_t length) {
  std::string state;
  if (length < NLMSG_ALIGN(sizeof(ifinfomsg)) || reinterpret_cast<const ifinfomsg*>(body)->ifi_family != AF_UNSPEC) return state;
  // Without the last member, which tells what a notification is about.
  state.assign(reinterpret_cast<const char*>(body), offsetof(ifinfomsg, ifi_change));
  const size_t header = NLMSG_ALIGN(sizeof(ifinfomsg));
  eachAttribute(body + header, length - header, [&](int type, const uint8_t* data, size_t size) {
    switch (type) {
      case IFLA_ADDRESS:
      case IFLA_IFNAME:
      case IFLA_MTU:
      case IFLA_LINK:
      case IFLA_MASTER:
      case IFLA_IFALIAS:
      case IFLA_PROTO_DOWN:
        append(state, type, data, size);
        break;
      case IFLA_LINKINFO:
        appendInfo(state, data, size);
        break;
      case IFLA_AF_SPEC:
        appendSettings(state, data, size);
        break;
    }
  });
  return state;
}

}  // namespace carp
