// Computes HMAC-SHA1 with OpenSSL; hmac_sha1.h has its interface.

#include "sockets/hmac_sha1.h"

#include <cstring>

#include "support/arguments.h"

// Node exports OpenSSL's functions to addons, but its headers are not among those of Node-API. These few are the same
// in every version since 1.1.
extern "C" {
using EVP_MD_CTX = evp_md_ctx_st;
struct evp_md_st;
struct engine_st;
EVP_MD_CTX* EVP_MD_CTX_new();
void EVP_MD_CTX_free(EVP_MD_CTX* context);
int EVP_MD_CTX_copy_ex(EVP_MD_CTX* to, const EVP_MD_CTX* from);
const evp_md_st* EVP_sha1();
int EVP_DigestInit_ex(EVP_MD_CTX* context, const evp_md_st* type, engine_st* engine);
int EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, size_t length);
int EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* digest, unsigned int* length);
int CRYPTO_memcmp(const void* a, const void* b, size_t length);
}

namespace carp {
namespace {

constexpr size_t kBlockBytes = 64;
constexpr uint8_t kInnerPad = 0x36;
constexpr uint8_t kOuterPad = 0x5c;

}  // namespace

void HmacSha1::Release::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

HmacSha1::Context HmacSha1::begin(const uint8_t* key, uint8_t pad) {
  Context context(EVP_MD_CTX_new());
  uint8_t block[kBlockBytes] = {};
  std::memcpy(block, key, kKeyBytes);
  for (uint8_t& byte : block) byte ^= pad;
  const bool made = context && EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), block, sizeof block) == 1;
  return made ? std::move(context) : nullptr;
}

HmacSha1::HmacSha1(const uint8_t* key, const uint8_t* beginning, size_t length)
    : inner_(begin(key, kInnerPad)), outer_(begin(key, kOuterPad)) {
  isUsable_ = inner_ && outer_ && scratch() != nullptr && EVP_DigestUpdate(inner_.get(), beginning, length) == 1;
}

evp_md_ctx_st* HmacSha1::scratch() {
  thread_local const Context context(EVP_MD_CTX_new());
  return context.get();
}

bool HmacSha1::digest(const uint8_t* rest, size_t length, uint8_t* into) const {
  EVP_MD_CTX* context = scratch();
  return isUsable_ && context != nullptr && EVP_MD_CTX_copy_ex(context, inner_.get()) == 1 &&
         EVP_DigestUpdate(context, rest, length) == 1 && EVP_DigestFinal_ex(context, into, nullptr) == 1 &&
         EVP_MD_CTX_copy_ex(context, outer_.get()) == 1 && EVP_DigestUpdate(context, into, kDigestBytes) == 1 &&
         EVP_DigestFinal_ex(context, into, nullptr) == 1;
}

bool HmacSha1::matches(const uint8_t* rest, size_t length, const uint8_t* digest) const {
  uint8_t right[kDigestBytes];
  return this->digest(rest, length, right) && CRYPTO_memcmp(right, digest, sizeof right) == 0;
}

namespace {

class Hmac : public Napi::ObjectWrap<Hmac> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("HmacSha1", DefineClass(env, "HmacSha1", {InstanceMethod<&Hmac::digest>("digest")}));
  }

  // new HmacSha1(key: Uint8Array of 20)
  explicit Hmac(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (!takes(info, {Argument::bytes})) return;
    const auto key = info[0].As<Napi::Uint8Array>();
    if (key.ByteLength() == HmacSha1::kKeyBytes) hmac_ = std::make_unique<HmacSha1>(key.Data(), nullptr, 0);
    if (!hmac_) Napi::TypeError::New(info.Env(), "key must have 20 bytes").ThrowAsJavaScriptException();
  }

 private:
  // digest(message: Uint8Array, into: Uint8Array of 20): whether it was computed
  Napi::Value digest(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::bytes, Argument::bytes})) return {};
    const auto message = info[0].As<Napi::Uint8Array>();
    auto into = info[1].As<Napi::Uint8Array>();
    const bool fits = into.ByteLength() == HmacSha1::kDigestBytes;
    return Napi::Boolean::New(info.Env(),
                              fits && hmac_ && hmac_->digest(message.Data(), message.ByteLength(), into.Data()));
  }

  std::unique_ptr<HmacSha1> hmac_;
};

}  // namespace

void initHmacSha1(Napi::Env env, Napi::Object exports) { Hmac::init(env, exports); }

}  // namespace carp
