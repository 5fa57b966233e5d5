// Where the fields of an advertisement lie, and where it lies in a frame.
#pragma once

#include <linux/if_ether.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace carp {

constexpr size_t kVhidAt = 1;
constexpr size_t kChecksumAt = 6;
constexpr size_t kCounterAt = 8;
constexpr size_t kCounterBytes = 8;
constexpr size_t kDigestAt = 16;
constexpr size_t kAdvertisementBytes = 36;

// The family of a frame that a packet socket of ours received.
inline int familyOf(const uint8_t* frame) { return frame[12] == 0x08 ? 4 : 6; }

// The length of the frame's headers; 0 when the frame is too short for an advertisement behind them.
inline size_t headerBytesOf(const uint8_t* frame, size_t length) {
  if (length < ETH_HLEN + 1) return 0;
  const unsigned type = static_cast<unsigned>(frame[12] << 8 | frame[13]);
  const size_t headerBytes = ETH_HLEN + (type == ETH_P_IP ? (frame[ETH_HLEN] & 0xf) * size_t{4} : 40);
  return length < headerBytes + kAdvertisementBytes ? 0 : headerBytes;
}

inline uint64_t counterOf(const uint8_t* advertisement) {
  uint64_t counter;
  std::memcpy(&counter, advertisement + kCounterAt, sizeof counter);
  return __builtin_bswap64(counter);
}

}  // namespace carp
