// Compares the digest of a frame's advertisement with the expected ones.

#include "sockets/hmac_prefilter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sockets/advertisement.h"

namespace carp {
namespace {

// One advertisement comes over both families, and copies of it by switches that fail over.
constexpr uint32_t kRepetitions = 64;

}  // namespace

bool HmacPrefilter::setForms(const std::string& owner, const std::vector<SignedForm>& forms) {
  forget(owner);
  std::vector<uint8_t> vhids;
  for (const SignedForm& form : forms) {
    const size_t beginningBytes = form.message.size() - kCounterBytes;
    ExpectedDigest expected{owner, ++lastForm_, HmacSha1(form.key.data(), form.message.data(), beginningBytes)};
    if (!expected.hmac.isUsable()) {
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
    const bool matches = expected.hmac.matches(advertisement + kCounterAt, kCounterBytes, advertisement + kDigestAt);
    if (matches) return expected.form;
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

}  // namespace carp
