// Folding: puts advertisements together that only repeat what the engine has heard and accepted: every byte but the counter,
// the digest and the checksums is that of a frame which src/protocol has parsed and the core has said more of which can
// wait. Their digests are checked here before. What is kept of each is its counter and its time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace carp {

// One advertisement of several that were folded.
struct Copy {
  uint64_t counter;
  int64_t receivedNs;
};

// The advertisements of a virtual host over one family that were folded, in the order of their arrival.
struct Repeated {
  uint32_t handle;
  uint8_t vhid;
  int family;
  std::vector<Copy> copies;
};

class Folding {
 public:
  // Folds the frames of this socket that repeat this one from now on. Forms: HmacPrefilter::formOf.
  void expect(uint32_t handle, const uint8_t* frame, size_t length, uint64_t form);

  // Folds a frame whose digest has this form. False: it has to be looked at; nothing of its virtual host and family is folded
  // until it is expected anew, and what was folded of the virtual host so far is in `before`.
  bool take(uint32_t handle, const uint8_t* frame, size_t length, uint64_t form, int64_t receivedNs,
            std::vector<Repeated>& before);

  // When the last advertisement was received that was folded for this virtual host and waits still; 0: there is none.
  int64_t latest(uint32_t handle, uint8_t vhid) const;

  // Moves all that was folded to `out`.
  void flush(std::vector<Repeated>& out);
  // Folds no more. Moves all that was folded to `out`.
  void end(std::vector<Repeated>& out);
  // The same for one socket, which was closed.
  void forget(uint32_t handle);

 private:
  // More wait for nobody: a master may advertise much more often than its backups would take over.
  static constexpr size_t kMostCopies = 64;
  // Advertisements are shorter; a longer frame is not folded.
  static constexpr size_t kMostBytes = 256;

  struct Expected {
    Repeated repeated;
    // With 0 in place of the fields that may differ.
    std::vector<uint8_t> frame;
    uint64_t form;
    // Of the last one.
    uint64_t counter;
    // The greatest counter that was heard over the other family since: the engine may find a smaller one too old.
    uint64_t least;
  };

  static bool isLike(const uint8_t* frame, size_t length, const std::vector<uint8_t>& expected);
  static uint64_t keyOf(uint32_t handle, uint8_t vhid, int family);
  static void moveTo(std::vector<Repeated>& out, Expected& from);

  std::unordered_map<uint64_t, Expected> expected_;
};

}  // namespace carp
