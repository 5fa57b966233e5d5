// The reading thread, its queue and the rate limit; receiver.h has their interface.

#include "sockets/receiver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "process/clock.h"
#include "sockets/advertisement.h"
#include "support/thread.h"

namespace carp {
namespace {

// epoll's user data for the stop event and the raw sockets; a packet socket's is its handle, which is greater.
constexpr uint64_t kStop = 0;
constexpr uint64_t kRaw4 = 4;
constexpr uint64_t kRaw6 = 6;

constexpr int kErrorsInRowMeanDead = 8;
// A clock that is set back makes new frames look old; whatever happens, draining a socket ends.
constexpr int kDrainReadsPerSocket = 1024;
constexpr int kDrainReadsOfStrays = 32;

constexpr int64_t kSecondNs = 1'000'000'000;
// Checking one costs the engine some 20 us.
constexpr int64_t kUnauthenticatedPerSecond = 2000;
constexpr int64_t kUnauthenticatedAtOnce = kUnauthenticatedPerSecond;
constexpr int64_t kReportIntervalNs = kSecondNs;
// A host with many virtual hosts advertises many of them in a row. The first frame is read at once, and what comes sooner
// than this after it together, so that the engine does not wake up for each.
constexpr int64_t kTogetherNs = 1'000'000;

int64_t stampOf(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec at;
    std::memcpy(&at, CMSG_DATA(header), sizeof at);
    return int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
  }
  return 0;
}

void sleepUntil(int64_t atNs) {
  const int64_t waitNs = atNs - bootNs();
  if (waitNs <= 0) return;
  const timespec wait{0, std::min(waitNs, kTogetherNs)};
  nanosleep(&wait, nullptr);
}

}  // namespace

bool RateLimit::take(int64_t nowNs) {
  constexpr int64_t each = kSecondNs / kUnauthenticatedPerSecond;
  const int64_t spentNs = std::max(spentNs_, nowNs - kUnauthenticatedAtOnce * each) + each;
  if (spentNs > nowNs) return false;
  spentNs_ = spentNs;
  return true;
}

Failure Receiver::start() {
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.open()) return {"epoll_create1", errno};
  stopEvent_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopEvent_.open()) return {"eventfd", errno};
  if (const Failure failure = watch(stopEvent_.get(), kStop)) return failure;

  thread_ = startThread("carp-reader", [this] { run(); });
  return {};
}

void Receiver::stop() {
  if (thread_.joinable()) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    room_.notify_one();
    eventfd_write(stopEvent_.get(), 1);
    thread_.join();
  }
  listening_.clear();
  raw4_.close();
  raw6_.close();
  queue_ = {};
  folding_ = {};
  unauthenticated_.clear();
  strays_.clear();
  stopEvent_ = {};
  epoll_ = {};
}

Failure Receiver::watch(int fd, uint64_t source) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = source;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return {"epoll_ctl", errno};
  return {};
}

Failure Receiver::open(int ifindex, uint32_t& handle) {
  Listening fresh;
  fresh.emptyNs = bootNs();
  if (const Failure failure = fresh.socket.open(ifindex)) return failure;
  const int fd = fresh.socket.fd();
  std::lock_guard<std::mutex> lock(mutex_);
  handle = ++lastHandle_;
  listening_.emplace(handle, std::move(fresh));
  if (const Failure failure = watch(fd, handle)) {
    listening_.erase(handle);
    return failure;
  }
  excludeListened();
  return {};
}

void Receiver::close(uint32_t handle) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (listening_.erase(handle) == 0) return;
  folding_.forget(handle);
  excludeListened();
}

PacketSocket* Receiver::find(uint32_t handle) {
  // Only this thread adds and removes entries: no lock is needed to look.
  const auto found = listening_.find(handle);
  return found == listening_.end() ? nullptr : &found->second.socket;
}

Failure Receiver::openRaw() {
  std::lock_guard<std::mutex> lock(mutex_);
  Failure first;
  for (RawSocket* raw : {&raw4_, &raw6_}) {
    if (raw->isOpen()) continue;
    Failure failure = raw->open();
    if (!failure) failure = watch(raw->fd(), raw->family() == 4 ? kRaw4 : kRaw6);
    if (failure) raw->close();
    if (failure && !first) first = failure;
  }
  excludeListened();
  return first;
}

void Receiver::closeRaw() {
  std::lock_guard<std::mutex> lock(mutex_);
  raw4_.close();
  raw6_.close();
}

void Receiver::excludeListened() {
  std::vector<int> ifindexes;
  for (const auto& entry : listening_) ifindexes.push_back(entry.second.socket.ifindex());
  raw4_.exclude(ifindexes);
  raw6_.exclude(ifindexes);
}

void Receiver::run() {
  epoll_event events[kBatch];
  int reportInMs = -1;
  // When sockets were read last, and whether that left nothing: under a flood there is no time to wait.
  int64_t readNs = 0;
  Outcome outcome = Outcome::empty;
  for (;;) {
    // Dropped packets are reported a second after the former ones, whatever else comes or does not.
    const int count = epoll_wait(epoll_.get(), events, kBatch, reportInMs);
    if (count < 0 && errno != EINTR) return;
    if (count > 0 && outcome == Outcome::empty) sleepUntil(readNs + kTogetherNs);
    outcome = Outcome::empty;
    for (int i = 0; i < std::max(count, 1); i++) {
      std::unique_lock<std::mutex> lock(mutex_);
      // A full queue stops all reading: the sockets' own buffers bound what waits.
      room_.wait(lock, [this] { return stopping_ || queue_.size() < kQueueLimit; });
      if (stopping_) return;
      if (i < count && readReady(events[i].data.u64) == Outcome::more) outcome = Outcome::more;
      reportInMs = untilReportMs();
      const bool wake = isWorthWaking() && !wakePending_;
      wakePending_ = wakePending_ || wake;
      lock.unlock();
      if (wake) wake_();
    }
    readNs = bootNs();
  }
}

int Receiver::untilReportMs() const {
  if (queue_.rateLimited.empty()) return -1;
  // JavaScript that has been woken up and has not taken it yet is given as long again.
  const int64_t sinceNs = (bootNs() - reportedNs_) % kReportIntervalNs;
  return static_cast<int>((kReportIntervalNs - sinceNs) / 1'000'000) + 1;
}

bool Receiver::isWorthWaking() const {
  if (queue_.size() + unauthenticated_.size() + strays_.size() > 0) return true;
  return !queue_.rateLimited.empty() && bootNs() - reportedNs_ >= kReportIntervalNs;
}

bool Receiver::setForms(const std::string& owner, const std::vector<SignedForm>& forms) {
  std::lock_guard<std::mutex> lock(mutex_);
  return prefilter_.setForms(owner, forms);
}

void Receiver::countRateLimited(int ifindex, int family) {
  for (RateLimited& each : queue_.rateLimited) {
    if (each.ifindex != ifindex || each.family != family) continue;
    each.count++;
    return;
  }
  queue_.rateLimited.push_back({ifindex, family, 1});
}

// The socket may have been closed since epoll named it.
Receiver::Outcome Receiver::readReady(uint64_t source) {
  const size_t space = kQueueLimit - queue_.size();
  if (source == kRaw4 || source == kRaw6) {
    return readStrays(raw(static_cast<int>(source)), space) ? Outcome::more : Outcome::empty;
  }
  const auto found = listening_.find(static_cast<uint32_t>(source));
  return found == listening_.end() ? Outcome::empty : readFrames(found->first, found->second, space);
}

bool Receiver::readStrays(RawSocket& from, size_t limit) {
  std::vector<Stray> strays;
  const bool more = from.read(limit, strays);
  const int64_t nowNs = bootNs();
  RateLimit& rateLimit = from.family() == 4 ? strays4_ : strays6_;
  for (const Stray& stray : strays) {
    if (strays_.size() < kUnauthenticatedAtOnce && rateLimit.take(nowNs)) {
      strays_.push_back(stray);
    } else {
      countRateLimited(stray.ifindex, stray.family);
    }
  }
  return more;
}

Receiver::Outcome Receiver::readFrames(uint32_t handle, Listening& from, size_t limit) {
  if (from.dead) return Outcome::empty;
  const size_t wanted = std::min(limit, kBatch);
  for (size_t i = 0; i < wanted; i++) {
    buffers_.data[i] = {buffers_.bytes[i], kFrameBytes};
    msghdr& message = buffers_.messages[i].msg_hdr;
    message = {};
    message.msg_iov = &buffers_.data[i];
    message.msg_iovlen = 1;
    message.msg_control = buffers_.control[i];
    message.msg_controllen = sizeof buffers_.control[i];
  }
  const int64_t beforeNs = bootNs();
  const int count =
      recvmmsg(from.socket.fd(), buffers_.messages, static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
  if (count < 0) return readFailed(handle, from, errno, beforeNs);

  from.errorsInRow = 0;
  const Clocks now = readClocks();
  for (int i = 0; i < count; i++) {
    const int64_t stampNs = stampOf(buffers_.messages[i].msg_hdr);
    const int64_t arrivedNs = stampNs == 0 ? now.bootNs : stampNs - now.realNs + now.bootNs;
    // The stamp is read from the system clock, which may have been set since.
    const int64_t receivedNs = std::min(std::max({arrivedNs, from.emptyNs, from.latestNs}), now.bootNs);
    from.latestNs = receivedNs;
    const uint32_t length = buffers_.messages[i].msg_len;
    const uint8_t* bytes = buffers_.bytes[i];
    const HmacPrefilter::Verdict verdict = prefilter_.judge(bytes, length);
    if (verdict.passes) {
      if (!folding_.take(handle, bytes, length, verdict.form, receivedNs, queue_.repeated)) {
        if (verdict.form != 0) heard_(handle, bytes[headerBytesOf(bytes, length) + kVhidAt]);
        add(handle, receivedNs, bytes, length);
      }
    } else if (unauthenticated_.size() < kUnauthenticatedAtOnce && from.limit.take(now.bootNs)) {
      unauthenticated_.push_back({handle, receivedNs, {bytes, bytes + length}});
    } else {
      countRateLimited(from.socket.ifindex(), familyOf(bytes));
    }
  }
  if (count == static_cast<int>(wanted)) return Outcome::more;
  from.emptyNs = beforeNs;
  return Outcome::empty;
}

Receiver::Outcome Receiver::readFailed(uint32_t handle, Listening& from, int error, int64_t beforeNs) {
  if (error == EINTR) return Outcome::more;
  // A device that leaves makes one ENETDOWN, here or at a send, and then a socket that is empty for ever.
  if ((error == EAGAIN || error == ENETDOWN) && !from.socket.isBound()) error = ENODEV;
  if (error == EAGAIN) {
    from.errorsInRow = 0;
    from.emptyNs = beforeNs;
    return Outcome::empty;
  }
  // One that goes down makes one ENETDOWN each time, and the socket lives on: the next read tells whether it does.
  if (error == ENETDOWN && ++from.errorsInRow < kErrorsInRowMeanDead) return readFrames(handle, from, kBatch);
  // Any other error would be told for ever.
  from.dead = true;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, from.socket.fd(), nullptr);
  queue_.deaf.push_back({handle, error});
  return Outcome::empty;
}

void Receiver::add(uint32_t handle, int64_t receivedNs, const uint8_t* bytes, size_t length) {
  queue_.frames.push_back({handle, static_cast<uint32_t>(length), queue_.bytes.size(), receivedNs});
  queue_.bytes.insert(queue_.bytes.end(), bytes, bytes + length);
}

void Receiver::fold(uint32_t handle, const uint8_t* frame, size_t length) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t headerBytes = headerBytesOf(frame, length);
  if (headerBytes == 0 || listening_.count(handle) == 0) return;
  // One that waits in the queue may say something else: the last one taken decides.
  const auto isOfSame = [&](const Frame& each) {
    const uint8_t* queued = queue_.bytes.data() + each.offset;
    const size_t itsHeaderBytes = headerBytesOf(queued, each.length);
    return each.handle == handle && itsHeaderBytes != 0 && familyOf(queued) == familyOf(frame) &&
           queued[itsHeaderBytes + kVhidAt] == frame[headerBytes + kVhidAt];
  };
  if (std::any_of(queue_.frames.begin(), queue_.frames.end(), isOfSame)) return;
  folding_.expect(handle, frame, length, prefilter_.formOf(frame, length));
}

void Receiver::unfold() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    folding_.end(queue_.repeated);
    if (wakePending_ || queue_.repeated.empty()) return;
    wakePending_ = true;
  }
  wake_();
}

int64_t Receiver::latest(uint32_t handle, uint8_t vhid) {
  std::lock_guard<std::mutex> lock(mutex_);
  return folding_.latest(handle, vhid);
}

Batch Receiver::takeLocked() {
  for (size_t i = 0; i < kUnauthenticatedPerBatch && !unauthenticated_.empty(); i++, unauthenticated_.pop_front()) {
    const UnauthenticatedFrame& frame = unauthenticated_.front();
    add(frame.handle, frame.receivedNs, frame.bytes.data(), frame.bytes.size());
  }
  for (size_t i = 0; i < kUnauthenticatedPerBatch && !strays_.empty(); i++, strays_.pop_front()) {
    queue_.strays.push_back(strays_.front());
  }
  Batch taken = std::move(queue_);
  queue_ = {};
  const int64_t nowNs = bootNs();
  if (nowNs - reportedNs_ < kReportIntervalNs) {
    std::swap(queue_.rateLimited, taken.rateLimited);
  } else if (!taken.rateLimited.empty()) {
    reportedNs_ = nowNs;
  }
  room_.notify_one();
  // Each socket's frames are in order already, and stay so: their times never decrease.
  std::stable_sort(taken.frames.begin(), taken.frames.end(),
                   [](const Frame& a, const Frame& b) { return a.receivedNs < b.receivedNs; });
  std::stable_sort(taken.repeated.begin(), taken.repeated.end(), [](const Repeated& a, const Repeated& b) {
    return a.copies.back().receivedNs < b.copies.back().receivedNs;
  });
  return taken;
}

Batch Receiver::take() {
  std::lock_guard<std::mutex> lock(mutex_);
  return takeLocked();
}

void Receiver::ready() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    wakePending_ = isWorthWaking();
    if (!wakePending_) return;
  }
  wake_();
}

Batch Receiver::drain() {
  std::lock_guard<std::mutex> lock(mutex_);
  const int64_t startNs = bootNs();
  for (auto& [handle, from] : listening_) {
    // Until empty, or until it yields what came after the call: under a flood the socket is never empty.
    for (int reads = 0; reads < kDrainReadsPerSocket && from.latestNs < startNs; reads++) {
      if (readFrames(handle, from, kBatch) == Outcome::empty) break;
    }
  }
  for (RawSocket* raw : {&raw4_, &raw6_}) {
    for (int reads = 0; reads < kDrainReadsOfStrays && readStrays(*raw, kBatch); reads++) {
    }
  }
  folding_.flush(queue_.repeated);
  return takeLocked();
}

}  // namespace carp
