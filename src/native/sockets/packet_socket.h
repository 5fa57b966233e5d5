// PacketSocket: one carpdev's AF_PACKET socket for whole untagged Ethernet frames of IP protocol 112, both families,
// and its multicast memberships, which end with it. It never looks inside a frame.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "support/descriptor.h"

namespace carp {

using MacAddress = std::array<uint8_t, 6>;

// The system call or option that failed, and its errno; 0 is success.
struct Failure {
  const char* call = "";
  int error = 0;
  explicit operator bool() const { return error != 0; }
};

class PacketSocket {
 public:
  // Opens the socket on the interface and joins carp's groups.
  Failure open(int ifindex);

  // Joins carp's IPv6 group again: the kernel leaves it when it takes IPv6 off the device, and does not join it again.
  void rejoin();

  // 0, or the errno with which sending failed.
  int send(const uint8_t* frame, size_t length);

  // option: PACKET_ADD_MEMBERSHIP or PACKET_DROP_MEMBERSHIP. 0 or an errno.
  int membership(int option, const MacAddress& mac);

  // Whether it is on its device; not any more when that has left, though one with the same index may have come.
  bool isBound() const;

  int fd() const { return packet_.get(); }
  int ifindex() const { return ifindex_; }

 private:
  int ifindex_ = 0;
  Descriptor packet_;
  Descriptor group4_;
  Descriptor group6_;
};

}  // namespace carp
