// RawSocket: a raw IP socket of protocol 112. It sends to unicast peers, routed by the kernel, and reports the
// interface of each received packet. While it is open the kernel does not answer the protocol with "protocol
// unreachable".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/descriptor.h"
#include "sockets/packet_socket.h"

namespace carp {

// A packet of protocol 112 that the IP layer delivered.
struct Stray {
  int ifindex;
  int family;
};

class RawSocket {
 public:
  // family: 4 or 6.
  explicit RawSocket(int family) : family_(family) {}

  Failure open();
  void close() { socket_ = Descriptor(); }

  // Packets from these interfaces are not delivered.
  void exclude(const std::vector<int>& ifindexes);

  // source and destination are 4 or 16 bytes. scope: the interface of link-local addresses, 0 when there is none.
  // 0, or an errno.
  int send(const uint8_t* source, const uint8_t* destination, int trafficClass, int scope, const uint8_t* payload,
           size_t length);

  // Reads at most `limit` packets into `strays`. False when none is left or reading failed.
  bool read(size_t limit, std::vector<Stray>& strays);

  int fd() const { return socket_.get(); }
  bool isOpen() const { return socket_.open(); }
  int family() const { return family_; }

 private:
  int family_;
  Descriptor socket_;
};

}  // namespace carp
