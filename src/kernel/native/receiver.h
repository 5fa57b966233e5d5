// Everything that is received, and the one thread that reads it. The thread moves frames from the sockets into a
// bounded queue and says when there is something in it; drain() does the same on the caller's thread. One mutex
// guards all reading, so a frame is either still in its socket or already in the queue.
#pragma once

#include <sys/socket.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "descriptor.h"
#include "packet_socket.h"
#include "raw_socket.h"

namespace carp {

struct Frame {
  uint32_t handle;
  uint32_t length;
  size_t offset;
  int64_t receivedNs;
};

// Frames in the order of their arrival; their bytes lie in one piece of memory.
struct Batch {
  std::vector<Frame> frames;
  std::vector<uint8_t> bytes;
  std::vector<Stray> strays;
  size_t size() const { return frames.size() + strays.size(); }
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

  struct Listening {
    PacketSocket socket;
    // The socket was seen empty at, and its latest frame had come by: what it yields next is not older.
    int64_t emptyNs = 0;
    int64_t latestNs = 0;
    int errorsInRow = 0;
    bool dead = false;
  };

  enum class Outcome { more, empty };

  void run();
  void readReady(uint64_t source);
  Outcome readFrames(uint32_t handle, Listening& from, size_t limit);
  Outcome readFailed(Listening& from, int error, int64_t beforeNs);
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

  struct Buffers {
    mmsghdr messages[kBatch];
    iovec data[kBatch];
    uint8_t bytes[kBatch][kFrameBytes];
    alignas(cmsghdr) uint8_t control[kBatch][64];
  };
  Buffers buffers_;
};

}  // namespace carp
