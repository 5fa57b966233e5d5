// HmacPrefilter: tells frames with a new authenticated advertisement from all others, for a small part of what JavaScript
// needs to check one, so that a flood of forgeries or of recordings cannot crowd out the authentic ones. It never replaces that check:
// a frame that passes is validated from its first byte by src/protocol, or is like one that was (folding.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sockets/advertisement.h"
#include "sockets/hmac_sha1.h"

namespace carp {

// The input of one digest: HMAC-SHA1 over the message, whose last 8 bytes are the counter.
struct SignedForm {
  uint8_t vhid;
  std::vector<uint8_t> key;
  std::vector<uint8_t> message;
};

class HmacPrefilter {
 public:
  // Replaces the forms of one owner; a digest of any owner's passes. False when OpenSSL offers no such digest: then every
  // frame passes from now on.
  bool setForms(const std::string& owner, const std::vector<SignedForm>& forms);

  struct Verdict {
    bool passes;
    // The form that its digest has; 0: none, or there are no forms.
    uint64_t form;
  };
  // Whether the frame carries an advertisement with the digest of one of the forms, and not one that has passed often: a
  // recording. Without forms every frame passes.
  Verdict judge(const uint8_t* frame, size_t length);
  // The form that the digest of the frame's advertisement has, by a number that no other form ever has; 0: none.
  uint64_t formOf(const uint8_t* frame, size_t length);

 private:
  // A form; everything but the counter is already taken in.
  struct ExpectedDigest {
    std::string owner;
    uint64_t form;
    HmacSha1 hmac;
  };

  void forget(const std::string& owner);
  bool isRecording(const uint8_t* digest);

  // By vhid.
  std::array<std::vector<ExpectedDigest>, 256> expected_;
  // The vhids of each owner's forms.
  std::unordered_map<std::string, std::vector<uint8_t>> vhidsOf_;
  // The digests that passed, each where a part of it says until another one takes the place. As many as hundreds of virtual
  // hosts send in some seconds: whoever repeats recordings to crowd others out needs more than these.
  static constexpr size_t kPassed = 4096;
  struct Passed {
    uint64_t part = 0;
    uint32_t times = 0;
  };
  std::vector<Passed> passed_ = std::vector<Passed>(kPassed);
  uint64_t lastForm_ = 0;
  bool isUsable_ = true;
};

}  // namespace carp
