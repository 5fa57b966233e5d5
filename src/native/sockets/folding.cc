// Compares frames with those that are expected; folding.h has its interface.

#include "sockets/folding.h"

#include <netinet/in.h>
#include <netinet/ip.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "sockets/advertisement.h"

namespace carp {
namespace {

// Offset of the checksum in an IPv4 header.
constexpr size_t kIpv4ChecksumAt = offsetof(iphdr, check);
constexpr size_t kIpv4IdAt = offsetof(iphdr, id);

// The Internet checksum over intact bytes with their checksum among them comes out as 0xffff.
bool isIntact(const uint8_t* bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2) sum += static_cast<uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

// The frame with 0 in place of what differs between two advertisements that say the same.
void blank(uint8_t* frame, size_t headerBytes) {
  if (familyOf(frame) == 4) {
    std::memset(frame + ETH_HLEN + kIpv4IdAt, 0, sizeof(uint16_t));
    std::memset(frame + ETH_HLEN + kIpv4ChecksumAt, 0, sizeof(uint16_t));
  }
  std::memset(frame + headerBytes + kChecksumAt, 0, kAdvertisementBytes - kChecksumAt);
}

}  // namespace

bool Folding::isLike(const uint8_t* frame, size_t length, const std::vector<uint8_t>& expected) {
  if (length != expected.size()) return false;
  const size_t headerBytes = headerBytesOf(frame, length);
  const bool isHeaderIntact = familyOf(frame) == 6 || isIntact(frame + ETH_HLEN, headerBytes - ETH_HLEN);
  if (!isHeaderIntact || !isIntact(frame + headerBytes, kAdvertisementBytes)) return false;
  uint8_t blanked[kMostBytes];
  std::memcpy(blanked, frame, length);
  blank(blanked, headerBytes);
  return std::memcmp(blanked, expected.data(), length) == 0;
}

uint64_t Folding::keyOf(uint32_t handle, uint8_t vhid, int family) {
  return static_cast<uint64_t>(handle) << 16 | static_cast<uint64_t>(vhid) << 8 | static_cast<uint64_t>(family);
}

void Folding::moveTo(std::vector<Repeated>& out, Expected& from) {
  Repeated& repeated = from.repeated;
  if (repeated.copies.empty()) return;
  out.push_back({repeated.handle, repeated.vhid, repeated.family, std::exchange(repeated.copies, {})});
}

void Folding::expect(uint32_t handle, const uint8_t* frame, size_t length, uint64_t form) {
  const size_t headerBytes = headerBytesOf(frame, length);
  if (form == 0 || headerBytes == 0 || length > kMostBytes) return;
  const uint8_t* advertisement = frame + headerBytes;
  const uint8_t vhid = advertisement[kVhidAt];
  const int family = familyOf(frame);
  Expected expected{{handle, vhid, family, {}}, {frame, frame + length}, form, counterOf(advertisement), 0};
  blank(expected.frame.data(), headerBytes);
  expected_.insert_or_assign(keyOf(handle, vhid, family), std::move(expected));
}

bool Folding::take(uint32_t handle, const uint8_t* frame, size_t length, uint64_t form,
                   int64_t receivedNs, std::vector<Repeated>& before) {
  const size_t headerBytes = headerBytesOf(frame, length);
  if (expected_.empty() || headerBytes == 0) return false;
  const uint8_t* advertisement = frame + headerBytes;
  const uint8_t vhid = advertisement[kVhidAt];
  const int family = familyOf(frame);
  const uint64_t counter = counterOf(advertisement);
  const auto other = expected_.find(keyOf(handle, vhid, family == 4 ? 6 : 4));
  if (other != expected_.end()) other->second.least = std::max(other->second.least, counter);
  const auto found = expected_.find(keyOf(handle, vhid, family));
  if (found != expected_.end()) {
    Expected& expected = found->second;
    const bool isNewer = counter > expected.counter && counter >= expected.least;
    if (form == expected.form && isNewer && expected.repeated.copies.size() < kMostCopies &&
        isLike(frame, length, expected.frame)) {
      expected.counter = counter;
      expected.repeated.copies.push_back({counter, receivedNs});
      return true;
    }
    moveTo(before, expected);
    expected_.erase(found);
  }
  if (other != expected_.end()) moveTo(before, other->second);
  return false;
}

int64_t Folding::latest(uint32_t handle, uint8_t vhid) const {
  int64_t latestNs = 0;
  for (const int family : {4, 6}) {
    const auto found = expected_.find(keyOf(handle, vhid, family));
    if (found == expected_.end() || found->second.repeated.copies.empty()) continue;
    latestNs = std::max(latestNs, found->second.repeated.copies.back().receivedNs);
  }
  return latestNs;
}

void Folding::flush(std::vector<Repeated>& out) {
  for (auto& [key, expected] : expected_) moveTo(out, expected);
}

void Folding::end(std::vector<Repeated>& out) {
  flush(out);
  expected_.clear();
}

void Folding::forget(uint32_t handle) {
  for (auto at = expected_.begin(); at != expected_.end();) {
    at = at->second.repeated.handle == handle ? expected_.erase(at) : std::next(at);
  }
}

}  // namespace carp
