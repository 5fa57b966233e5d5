// Everything that is received, and the one thread that reads it. The thread moves frames from the sockets into a
// bounded queue and says when there is something in it; drain() does the same on the caller's thread. One mutex
// guards all reading, so a frame is either still in its socket or already in the queue. Of frames that nobody with a
// pass has signed, and of strays, it takes in only so many a second, and counts the others.
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

#include "descriptor.h"
#include "packet_socket.h"
#include "raw_socket.h"
#include "recognition.h"

namespace carp {

struct Frame {
  uint32_t handle;
  uint32_t length;
  size_t offset;
  int64_t receivedNs;
};

// How many packets of a family were read from a device and dropped without a look inside.
struct Unexamined {
  int ifindex;
  int family;
  size_t count;
};

// Frames in the order of their arrival; their bytes lie in one piece of memory.
struct Batch {
  std::vector<Frame> frames;
  std::vector<uint8_t> bytes;
  std::vector<Stray> strays;
  std::vector<Unexamined> unexamined;
  size_t size() const { return frames.size() + strays.size(); }
  bool empty() const { return size() == 0 && unexamined.empty(); }
};

// So many at once, and so many a second after that.
class Allowance {
 public:
  bool take(int64_t nowNs);

 private:
  int64_t spentNs_ = 0;
};

class Receiver {
 public:
  // `wake` is called when the queue is no longer empty, and not again until ready() says so.
  explicit Receiver(std::function<void()> wake) : wake_(std::move(wake)) {}
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

  // What is queued, in answer to `wake`.
  Batch take();
  // Whose advertisements are taken in however many others come. False when that cannot be told here.
  bool know(const std::vector<SignedForm>& forms);
  // Asks to be woken again: at once when there is something in the queue. Under a flood there always is, and
  // whoever took everything as it came would never do anything else.
  void ready();
  // What is queued and everything that had reached a socket when it was called.
  Batch drain();

 private:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kFrameBytes = 2048;
  // What is handled in one go, a millisecond or two's worth; the sockets' own buffers hold more.
  static constexpr size_t kQueueLimit = 128;
  // Of strangers' frames and of strays, so many at most are handled in one go. They wait beside the queue: whoever has
  // a pass always finds room in it.
  static constexpr size_t kStrangersInOneGo = 64;

  struct Listening {
    PacketSocket socket;
    // The socket was seen empty at, and its latest frame had come by: what it yields next is not older.
    int64_t emptyNs = 0;
    int64_t latestNs = 0;
    int errorsInRow = 0;
    bool dead = false;
    Allowance strangers;
  };

  struct Stranger {
    uint32_t handle;
    int64_t receivedNs;
    std::vector<uint8_t> bytes;
  };

  enum class Outcome { more, empty };

  void run();
  void readReady(uint64_t source);
  Outcome readFrames(uint32_t handle, Listening& from, size_t limit);
  Outcome readFailed(Listening& from, int error, int64_t beforeNs);
  bool readStrays(RawSocket& from, size_t limit);
  void add(uint32_t handle, int64_t receivedNs, const uint8_t* bytes, size_t length);
  void leaveOut(int ifindex, int family);
  bool isWorthWaking() const;
  Failure watch(int fd, uint64_t source);
  void excludeListened();
  Batch takeLocked();

  std::function<void()> wake_;
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
  std::deque<Stranger> strangers_;
  std::deque<Stray> strays_;
  Recognition recognition_;
  Allowance strays4_;
  Allowance strays6_;
  // What was left out has been told until then.
  int64_t toldNs_ = 0;

  struct Buffers {
    mmsghdr messages[kBatch];
    iovec data[kBatch];
    uint8_t bytes[kBatch][kFrameBytes];
    alignas(cmsghdr) uint8_t control[kBatch][64];
  };
  Buffers buffers_;
};

}  // namespace carp
