// The thread that sends at the times given, and its plans; ahead.h has their interface.

#include "sockets/ahead.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "process/clock.h"
#include "support/thread.h"

namespace carp {
namespace {

// Longer than the headers of any advertisement.
constexpr size_t kMostHeadBytes = 128;
// The thread sleeps no longer: the clock that it sleeps by stands still while the host does.
constexpr int64_t kLongestSleepNs = 1'000'000'000;

// Leases only grow here: one that is taken away is taken away after recall().
void renew(uint64_t* lease, uint64_t untilNs) {
  if (lease != nullptr && __atomic_load_n(lease, __ATOMIC_RELAXED) < untilNs) {
    __atomic_store_n(lease, untilNs, __ATOMIC_RELEASE);
  }
}

// The time as JavaScript reads it, in whole microseconds: what has left by then has left for both.
int64_t nowNs() { return bootNs() / 1000 * 1000; }

}  // namespace

void Ahead::start() {
  thread_ = startThread("carp-sender", [this] { run(); });
}

void Ahead::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isStopping_ = true;
    plans_.clear();
    hasEnded_.clear();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool Ahead::add(uint32_t handle, uint8_t vhid, PacketSocket& socket, const Leases& leases,
                const std::vector<TimesAhead>& times, const Frames& frames) {
  std::array<std::vector<uint8_t>, kMostFrames> heads;
  std::vector<Waiting> added;
  const uint8_t* at = frames.bytes;
  for (const TimesAhead& each : times) {
    Waiting& waiting = added.emplace_back(Waiting{each, {}});
    for (size_t i = 0; i < kMostFrames && frames.lengths[i] != 0; i++) {
      const size_t length = frames.lengths[i];
      if (length < kAdvertisementBytes || length - kAdvertisementBytes > kMostHeadBytes) return false;
      const size_t headBytes = length - kAdvertisementBytes;
      if (heads[i].empty()) heads[i].assign(at, at + headBytes);
      if (std::memcmp(heads[i].data(), at, headBytes) != 0) return false;
      std::memcpy(waiting.messages[i].data(), at + headBytes, kAdvertisementBytes);
      at += length;
    }
  }
  std::lock_guard<std::mutex> lock(mutex_);
  if (added.empty() || isStopping_) return false;
  const Key key{handle, vhid};
  const auto [found, isFirst] = plans_.try_emplace(key);
  Plan& plan = found->second;
  if (!isFirst && plan.heads != heads) return false;
  plan.socket = &socket;
  plan.leases = leases;
  plan.heads = std::move(heads);
  plan.waiting.erase(plan.waiting.begin(), plan.waiting.begin() + static_cast<std::ptrdiff_t>(plan.next));
  plan.next = 0;
  plan.waiting.insert(plan.waiting.end(), added.begin(), added.end());
  if (isFirst) {
    due_.push({plan.first().times.atNs, key});
    changed_.notify_one();
  }
  return true;
}

void Ahead::recall(uint32_t handle, uint8_t vhid) {
  std::lock_guard<std::mutex> lock(mutex_);
  plans_.erase({handle, vhid});
  const auto isOfIt = [&](const AheadEnded& each) { return each.handle == handle && each.vhid == vhid; };
  hasEnded_.erase(std::remove_if(hasEnded_.begin(), hasEnded_.end(), isOfIt), hasEnded_.end());
}

void Ahead::forget(uint32_t handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto at = plans_.lower_bound({handle, 0}); at != plans_.end() && at->first.first == handle;) end(at++);
}

void Ahead::heard(uint32_t handle, uint8_t vhid) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = plans_.find({handle, vhid});
  if (found != plans_.end()) end(found);
}

void Ahead::end(std::map<Key, Plan>::iterator of, bool inPart) {
  const auto& [key, plan] = *of;
  if (hasEnded_.empty()) ended_();
  hasEnded_.push_back({key.first, key.second, plan.first().times.atNs, inPart});
  plans_.erase(of);
}

void Ahead::hold() {
  std::lock_guard<std::mutex> lock(mutex_);
  isHeld_ = true;
}

void Ahead::release() {
  std::lock_guard<std::mutex> lock(mutex_);
  isHeld_ = false;
  if (std::exchange(awaitsRelease_, false)) changed_.notify_one();
}

std::vector<AheadEnded> Ahead::sendDue(int64_t untilNs) {
  std::lock_guard<std::mutex> lock(mutex_);
  sendDueLocked(untilNs);
  return std::exchange(hasEnded_, {});
}

void Ahead::sendDueLocked(int64_t untilNs) {
  while (!due_.empty() && due_.top().first <= untilNs) {
    const auto [atNs, key] = due_.top();
    due_.pop();
    const auto found = plans_.find(key);
    if (found == plans_.end() || found->second.first().times.atNs != atNs) continue;
    Plan& plan = found->second;
    const Left left = send(plan);
    if (left != Left::whole) {
      end(found, left == Left::part);
    } else if (++plan.next == plan.waiting.size()) {
      plans_.erase(found);
    } else {
      due_.push({plan.first().times.atNs, key});
    }
  }
}

Ahead::Left Ahead::send(Plan& plan) {
  const Waiting& waiting = plan.first();
  for (size_t i = 0; i < kMostFrames && !plan.heads[i].empty(); i++) {
    const Left soFar = i > 0 ? Left::part : Left::none;
    // The process may have been stopped meanwhile.
    if (bootNs() > waiting.times.untilNs) return soFar;
    const std::vector<uint8_t>& head = plan.heads[i];
    uint8_t frame[kMostHeadBytes + kAdvertisementBytes];
    std::memcpy(frame, head.data(), head.size());
    std::memcpy(frame + head.size(), waiting.messages[i].data(), kAdvertisementBytes);
    if (plan.socket->send(frame, head.size() + kAdvertisementBytes) != 0) return soFar;
  }
  const auto untilNs = static_cast<uint64_t>(waiting.times.leaseUntilNs);
  renew(plan.leases.node, untilNs);
  renew(plan.leases.interface, untilNs);
  return Left::whole;
}

void Ahead::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!isStopping_) {
    const int64_t waitNs = due_.empty() ? INT64_MAX : due_.top().first - nowNs();
    if (waitNs == INT64_MAX) {
      changed_.wait(lock);
    } else if (waitNs <= 0 && isHeld_) {
      awaitsRelease_ = true;
      changed_.wait(lock);
    } else if (waitNs > 0) {
      changed_.wait_for(lock, std::chrono::nanoseconds(std::min(waitNs, kLongestSleepNs)));
    } else {
      sendDueLocked(nowNs());
    }
  }
}

}  // namespace carp
