// Receiver: every socket that receives, and the one thread that reads them. The thread moves frames from the sockets
// into a bounded queue, or folds them, and says when there is something in the queue; drain() does the same on the caller's thread. One mutex
// guards all reading, so a frame is either still in its socket or already in the queue. Unauthenticated frames and
// strays pass a rate limit; it counts those it drops.
#pragma once

#include <sys/socket.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "support/descriptor.h"
#include "sockets/folding.h"
#include "sockets/hmac_prefilter.h"
#include "sockets/packet_socket.h"
#include "sockets/raw_socket.h"

namespace carp {

struct Frame {
  uint32_t handle;
  uint32_t length;
  size_t offset;
  int64_t receivedNs;
};

// Number of packets of a family, received on a device, that the rate limit dropped.
struct RateLimited {
  int ifindex;
  int family;
  size_t count;
};

// A socket that receives nothing any more, because reading failed with this error.
struct Deaf {
  uint32_t handle;
  int error;
};

// Frames in the order of their arrival; their bytes lie in one piece of memory.
struct Batch {
  std::vector<Frame> frames;
  std::vector<uint8_t> bytes;
  std::vector<Stray> strays;
  std::vector<RateLimited> rateLimited;
  std::vector<Deaf> deaf;
  // In the order of their last copies.
  std::vector<Repeated> repeated;
  size_t size() const { return frames.size() + strays.size() + deaf.size() + repeated.size(); }
  bool empty() const { return size() == 0 && rateLimited.empty(); }
};

// A token bucket for unauthenticated packets.
class RateLimit {
 public:
  // Whether the packet may pass.
  bool take(int64_t nowNs);

 private:
  int64_t spentNs_ = 0;
};

class Receiver {
 public:
  // `wake` is called when the queue is no longer empty, and not again until ready() says so; `heard` when an authenticated
  // frame for a virtual host is put into it.
  Receiver(std::function<void()> wake, std::function<void(uint32_t handle, uint8_t vhid)> heard)
      : wake_(std::move(wake)), heard_(std::move(heard)) {}
  ~Receiver() { stop(); }

  Failure start();
  // Joins the thread and closes every socket. Nothing is called afterwards.
  void stop();

  Failure open(int ifindex, uint32_t& handle);
  void close(uint32_t handle);
  // nullptr when there is no such socket (any more).
  PacketSocket* find(uint32_t handle);

  Failure openRaw();
  void closeRaw();
  RawSocket& raw(int family) { return family == 4 ? raw4_ : raw6_; }

  // Takes the queue, in answer to `wake`.
  Batch take();
  // Advertisements with the digest of one of these forms pass without a rate limit. See HmacPrefilter::setForms.
  bool setForms(const std::string& owner, const std::vector<SignedForm>& forms);
  // Frames that repeat this one of that socket, which was taken, wait until drain(), fold no more, or another frame of their
  // virtual host.
  void fold(uint32_t handle, const uint8_t* frame, size_t length);
  void unfold();
  // When the last frame was received that was folded for this virtual host and waits still; 0: there is none.
  int64_t latest(uint32_t handle, uint8_t vhid);
  // Asks to be woken again: at once when there is something in the queue. Under a flood there always is, and taking
  // everything as it comes would leave time for nothing else.
  void ready();
  // Takes the queue, everything that had reached a socket when it was called, and what was folded.
  Batch drain();

 private:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kFrameBytes = 2048;
  // Frames handled in one go, a millisecond or two's worth; the sockets' own buffers hold more.
  static constexpr size_t kQueueLimit = 128;
  // Unauthenticated frames and strays wait beside the queue, so that authenticated ones always find room in it; at most
  // so many of each are handled in one go.
  static constexpr size_t kUnauthenticatedPerBatch = 64;

  struct Listening {
    PacketSocket socket;
    // The socket was seen empty at, and its latest frame had come by: what it yields next is not older.
    int64_t emptyNs = 0;
    int64_t latestNs = 0;
    int errorsInRow = 0;
    bool dead = false;
    RateLimit limit;
  };

  struct UnauthenticatedFrame {
    uint32_t handle;
    int64_t receivedNs;
    std::vector<uint8_t> bytes;
  };

  enum class Outcome { more, empty };

  void run();
  Outcome readReady(uint64_t source);
  Outcome readFrames(uint32_t handle, Listening& from, size_t limit);
  Outcome readFailed(uint32_t handle, Listening& from, int error, int64_t beforeNs);
  bool readStrays(RawSocket& from, size_t limit);
  void add(uint32_t handle, int64_t receivedNs, const uint8_t* bytes, size_t length);
  void countRateLimited(int ifindex, int family);
  bool isWorthWaking() const;
  int untilReportMs() const;
  Failure watch(int fd, uint64_t source);
  void excludeListened();
  Batch takeLocked();

  std::function<void()> wake_;
  std::function<void(uint32_t handle, uint8_t vhid)> heard_;
  std::thread thread_;
  Descriptor epoll_;
  Descriptor stopEvent_;

  std::mutex mutex_;
  std::condition_variable room_;
  bool stopping_ = false;
  bool wakePending_ = false;
  uint32_t lastHandle_ = 15;
  std::map<uint32_t, Listening> listening_;
  RawSocket raw4_{4};
  RawSocket raw6_{6};
  Batch queue_;
  std::deque<UnauthenticatedFrame> unauthenticated_;
  std::deque<Stray> strays_;
  HmacPrefilter prefilter_;
  Folding folding_;
  RateLimit strays4_;
  RateLimit strays6_;
  // Dropped packets were last reported at.
  int64_t reportedNs_ = 0;

  struct Buffers {
    mmsghdr messages[kBatch];
    iovec data[kBatch];
    uint8_t bytes[kBatch][kFrameBytes];
    alignas(cmsghdr) uint8_t control[kBatch][64];
  };
  Buffers buffers_;
};

}  // namespace carp
