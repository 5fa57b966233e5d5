// Ahead: sends advertisements that were made ahead, each at its time, on a thread of its own: it touches little memory, and
// nothing that the engine does delays it. Sets the lease that each of them renews when it has left. The first one of a
// virtual host that does not leave ends those behind it.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <queue>
#include <thread>
#include <utility>
#include <vector>

#include "sockets/advertisement.h"
#include "sockets/packet_socket.h"

namespace carp {

// Where the data path reads until when a node is MASTER, and until when any node of its interface is; nullptr: there is no
// data path.
struct Leases {
  uint64_t* node = nullptr;
  uint64_t* interface = nullptr;
};

// When an advertisement leaves, at the latest, and what it renews the lease to, by CLOCK_BOOTTIME.
struct TimesAhead {
  int64_t atNs;
  int64_t untilNs;
  int64_t leaseUntilNs;
};

// The first one of a virtual host's that did not leave.
struct AheadEnded {
  uint32_t handle;
  uint8_t vhid;
  int64_t atNs;
  // Some of its frames did.
  bool inPart;
};

class Ahead {
 public:
  static constexpr size_t kMostFrames = 2;

  // `ended` is called on any thread when something has ended that sendDue() will tell.
  explicit Ahead(std::function<void()> ended) : ended_(std::move(ended)) {}
  ~Ahead() { stop(); }

  void start();
  // Joins the thread. Nothing leaves any more.
  void stop();

  // Advertisements, each as one frame of each of these lengths, one after the other; one that is longer than any
  // advertisement, or shorter, has none.
  struct Frames {
    const uint8_t* bytes;
    std::array<size_t, kMostFrames> lengths;
  };

  // Sends these behind those that wait. The socket stays open until forget(), and the leases where they are until recall().
  // False: they differ in more than the message, or are no advertisements; then none of them leaves.
  bool add(uint32_t handle, uint8_t vhid, PacketSocket& socket, const Leases& leases,
           const std::vector<TimesAhead>& times, const Frames& frames);
  // None leaves, nor is an end of them told.
  void recall(uint32_t handle, uint8_t vhid);
  // The socket is about to be closed.
  void forget(uint32_t handle);
  // Another host's advertisement for the virtual host is about to be handled, which takes as long as it takes: what waits
  // ends here.
  void heard(uint32_t handle, uint8_t vhid);

  // Nothing leaves until release(), but by sendDue().
  void hold();
  // Sends what is due by then. Takes what has ended since the last call.
  std::vector<AheadEnded> sendDue(int64_t untilNs);
  void release();

 private:
  struct Waiting {
    TimesAhead times;
    std::array<std::array<uint8_t, kAdvertisementBytes>, kMostFrames> messages;
  };
  struct Plan {
    PacketSocket* socket;
    Leases leases;
    // What comes before the message in each frame.
    std::array<std::vector<uint8_t>, kMostFrames> heads;
    std::vector<Waiting> waiting;
    // The first of them that has not left.
    size_t next = 0;
    const Waiting& first() const { return waiting[next]; }
  };
  using Key = std::pair<uint32_t, uint8_t>;
  using Due = std::pair<int64_t, Key>;

  void run();
  void sendDueLocked(int64_t untilNs);
  enum class Left { whole, part, none };
  static Left send(Plan& plan);
  void end(std::map<Key, Plan>::iterator of, bool inPart = false);

  std::function<void()> ended_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, Plan> plans_;
  // When plans are due. One that was recalled, or whose first one has left, may be in it still.
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::vector<AheadEnded> hasEnded_;
  bool isHeld_ = false;
  // The thread found something due while they were held, and sleeps until release(), whatever is due then.
  bool awaitsRelease_ = false;
  bool isStopping_ = false;
};

}  // namespace carp
