// Tells the advertisements that somebody who knows a pass has signed from all others, for a small part of what it costs
// JavaScript to look at one: under a flood of forgeries the true ones must not be lost among them. It judges no more
// than that: whatever it recognises is checked again, from its first byte, by the protocol's rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

// Of OpenSSL, which Node carries and gives to addons; see recognition.cc.
struct evp_md_ctx_st;

namespace carp {

// What one digest is made of: HMAC-SHA1 over the message, whose last 8 bytes are the counter.
struct SignedForm {
  uint8_t vhid;
  std::vector<uint8_t> key;
  std::vector<uint8_t> message;
};

class Recognition {
 public:
  static constexpr size_t kKeyBytes = 20;
  static constexpr size_t kCounterBytes = 8;

  // Replaces all forms. False when the digest is not to be had here: then everything is recognised.
  bool know(const std::vector<SignedForm>& forms);

  // Whether the frame carries an advertisement with the digest of one of the forms. Without forms there is nothing to
  // tell apart, and everything is recognised.
  bool recognises(const uint8_t* frame, size_t length);

 private:
  struct Release {
    void operator()(evp_md_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_md_ctx_st, Release>;

  // A hash that has taken in all that is the same for every counter.
  struct Known {
    uint8_t vhid;
    Context inner;
    Context outer;
  };

  static bool begin(Context& context, const std::vector<uint8_t>& key, uint8_t pad);
  bool isDigest(const Known& known, const uint8_t* counter, const uint8_t* digest);

  std::vector<Known> known_;
  Context scratch_;
};

}  // namespace carp
