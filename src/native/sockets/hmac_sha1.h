// HmacSha1: HMAC-SHA1 with a key, over messages that begin alike: what does not change is taken in once.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>

// OpenSSL's, which Node exports to addons; see hmac_sha1.cc.
struct evp_md_ctx_st;

namespace carp {

class HmacSha1 {
 public:
  static constexpr size_t kKeyBytes = 20;
  static constexpr size_t kDigestBytes = 20;

  // The key has 20 bytes.
  HmacSha1(const uint8_t* key, const uint8_t* beginning, size_t length);

  // Computes the digest of the beginning and this rest. False: OpenSSL offers no such digest.
  bool digest(const uint8_t* rest, size_t length, uint8_t* into) const;
  // Whether this is that digest; takes the same time for each that is not.
  bool matches(const uint8_t* rest, size_t length, const uint8_t* digest) const;

  // Whether OpenSSL offers such digests.
  bool isUsable() const { return isUsable_; }

 private:
  struct Release {
    void operator()(evp_md_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_md_ctx_st, Release>;

  static Context begin(const uint8_t* key, uint8_t pad);
  static evp_md_ctx_st* scratch();

  Context inner_;
  Context outer_;
  bool isUsable_ = false;
};

// The JavaScript class HmacSha1.
void initHmacSha1(Napi::Env env, Napi::Object exports);

}  // namespace carp
