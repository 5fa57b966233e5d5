// Computes the HMAC-SHA1 of a frame's advertisement with OpenSSL and compares it with the expected digests.

#include "sockets/hmac_prefilter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sockets/advertisement.h"

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

constexpr size_t kDigestBytes = 20;
constexpr size_t kBlockBytes = 64;
constexpr uint8_t kInnerPad = 0x36;
constexpr uint8_t kOuterPad = 0x5c;

// One advertisement comes over both families, and copies of it by switches that fail over.
constexpr uint32_t kRepetitions = 64;

}  // namespace

HmacPrefilter::HmacPrefilter() : scratch_(EVP_MD_CTX_new()) {}

void HmacPrefilter::Release::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

bool HmacPrefilter::begin(Context& context, const std::vector<uint8_t>& key, uint8_t pad) {
  context.reset(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) != 1) return false;
  uint8_t block[kBlockBytes] = {};
  std::memcpy(block, key.data(), kKeyBytes);
  for (uint8_t& byte : block) byte ^= pad;
  return EVP_DigestUpdate(context.get(), block, sizeof block) == 1;
}

bool HmacPrefilter::setForms(const std::string& owner, const std::vector<SignedForm>& forms) {
  forget(owner);
  std::vector<uint8_t> vhids;
  for (const SignedForm& form : forms) {
    ExpectedDigest expected{owner, ++lastForm_, nullptr, nullptr};
    const size_t prefixBytes = form.message.size() - kCounterBytes;
    if (!scratch_ || !begin(expected.inner, form.key, kInnerPad) || !begin(expected.outer, form.key, kOuterPad) ||
        EVP_DigestUpdate(expected.inner.get(), form.message.data(), prefixBytes) != 1) {
      isUsable_ = false;
      return false;
    }
    expected_[form.vhid].push_back(std::move(expected));
    vhids.push_back(form.vhid);
  }
  if (!vhids.empty()) vhidsOf_[owner] = std::move(vhids);
  return true;
}

void HmacPrefilter::forget(const std::string& owner) {
  const auto known = vhidsOf_.find(owner);
  if (known == vhidsOf_.end()) return;
  for (const uint8_t vhid : known->second) {
    std::vector<ExpectedDigest>& all = expected_[vhid];
    const auto isOwners = [&](const ExpectedDigest& each) { return each.owner == owner; };
    all.erase(std::remove_if(all.begin(), all.end(), isOwners), all.end());
  }
  vhidsOf_.erase(known);
}

HmacPrefilter::Verdict HmacPrefilter::judge(const uint8_t* frame, size_t length) {
  if (!isUsable_ || vhidsOf_.empty()) return {true, 0};
  const uint64_t form = formOf(frame, length);
  if (form == 0) return {false, 0};
  return {!isRecording(frame + headerBytesOf(frame, length) + kDigestAt), form};
}

uint64_t HmacPrefilter::formOf(const uint8_t* frame, size_t length) {
  const size_t headerBytes = headerBytesOf(frame, length);
  if (!isUsable_ || headerBytes == 0) return 0;
  const uint8_t* advertisement = frame + headerBytes;
  for (const ExpectedDigest& expected : expected_[advertisement[kVhidAt]]) {
    if (matches(expected, advertisement + kCounterAt, advertisement + kDigestAt)) return expected.form;
  }
  return 0;
}

bool HmacPrefilter::isRecording(const uint8_t* digest) {
  uint64_t part;
  std::memcpy(&part, digest, sizeof part);
  Passed& passed = passed_[part % kPassed];
  if (passed.part != part) passed = {part, 0};
  if (passed.times == kRepetitions) return true;
  passed.times++;
  return false;
}

bool HmacPrefilter::matches(const ExpectedDigest& expected, const uint8_t* counter, const uint8_t* digest) {
  uint8_t right[kDigestBytes];
  EVP_MD_CTX* scratch = scratch_.get();
  const bool made = EVP_MD_CTX_copy_ex(scratch, expected.inner.get()) == 1 &&
                    EVP_DigestUpdate(scratch, counter, kCounterBytes) == 1 &&
                    EVP_DigestFinal_ex(scratch, right, nullptr) == 1 &&
                    EVP_MD_CTX_copy_ex(scratch, expected.outer.get()) == 1 &&
                    EVP_DigestUpdate(scratch, right, sizeof right) == 1 &&
                    EVP_DigestFinal_ex(scratch, right, nullptr) == 1;
  return made && CRYPTO_memcmp(right, digest, sizeof right) == 0;
}

}  // namespace carp
