// The JavaScript class NetlinkSocket: one rtnetlink socket, the thread that reads it so that little is lost while
// JavaScript is busy, and two that send, because the kernel performs requests before a send returns, and waits for as long
// as another program holds its lock: one in order, one for what the kernel takes long for. It carries datagrams and reports
// when the kernel dropped some; src/kernel/netlink parses them.

#include "netlink/netlink.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/arguments.h"
#include "support/descriptor.h"
#include "support/thread.h"

namespace carp {
namespace {

// A full queue stops the reading: then the kernel's own buffer bounds what waits, and drops the rest.
constexpr size_t kQueueLimit = 64;

// Datagrams are handed over together up to this size, because each handing over costs more than a datagram.
constexpr size_t kTogether = 32768;

// The messages of one or more datagrams. Empty: the kernel dropped datagrams here.
using Messages = std::vector<uint8_t>;

class NetlinkSocket;
void deliver(Napi::Env env, Napi::Function callback, NetlinkSocket* socket, void*);
using Wakeup = Napi::TypedThreadSafeFunction<NetlinkSocket, void, deliver>;

class NetlinkSocket : public Napi::ObjectWrap<NetlinkSocket> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("NetlinkSocket", DefineClass(env, "NetlinkSocket",
                                             {
                                                 InstanceMethod<&NetlinkSocket::port>("port"),
                                                 InstanceMethod<&NetlinkSocket::send>("send"),
                                                 InstanceMethod<&NetlinkSocket::sendApart>("sendApart"),
                                                 InstanceMethod<&NetlinkSocket::followRoutes>("followRoutes"),
                                                 InstanceMethod<&NetlinkSocket::close>("close"),
                                             }));
  }

  // new NetlinkSocket(groups: number[], receiveBufferBytes, deliver: (messages: Uint8Array | undefined) => void)
  explicit NetlinkSocket(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    Napi::Env env = info.Env();
    if (!takes(info, {Argument::list, Argument::int32, Argument::function})) return;
    std::vector<uint32_t> groups;
    if (!numbersIn(info[0].As<Napi::Array>(), groups, "a group")) return;
    if (const char* failed = open(groups, info[1].As<Napi::Number>().Int32Value())) {
      const std::string text = std::string("netlink: ") + failed + ": " + std::strerror(errno);
      Napi::Error::New(env, text).ThrowAsJavaScriptException();
      return;
    }
    wakeup_ = Wakeup::New(env, info[2].As<Napi::Function>(), "carp netlink", 0, 1, this);
    reader_ = startThread("carp-netlink", [this] { run(); });
    inOrder_.thread = startThread("carp-netlink-tx", [this] { runSender(inOrder_); });
    hook_ = env.AddCleanupHook(&NetlinkSocket::stopAtExit, this);
    running_ = true;
    Ref();
  }

  bool running() const { return running_; }

  std::deque<Messages> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    wakePending_ = false;
    room_.notify_one();
    return std::exchange(queue_, {});
  }

 private:
  // Whether all elements are numbers.
  static bool numbersIn(const Napi::Array& list, std::vector<uint32_t>& numbers, const char* what) {
    for (uint32_t i = 0; i < list.Length(); i++) {
      const Napi::Value number = list.Get(i);
      if (!takes(number, Argument::uint32, what)) return false;
      numbers.push_back(number.As<Napi::Number>().Uint32Value());
    }
    return true;
  }

  const char* open(const std::vector<uint32_t>& groups, int receiveBufferBytes) {
    stopEvent_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!stopEvent_.open()) return "eventfd";
    socket_ = Descriptor(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!socket_.open()) return "socket";
    const int fd = socket_.get();
    if (dropOthersRoutes(fd, {}) < 0) return "filter";
    // The forced one passes rmem_max, and needs CAP_NET_ADMIN.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receiveBufferBytes, sizeof receiveBufferBytes) < 0) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receiveBufferBytes, sizeof receiveBufferBytes);
    }
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return "bind";
    // Connected to the kernel (port 0), it takes nothing from any other process.
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return "connect";
    for (const uint32_t group : groups) {
      if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) return "membership";
    }
    return nullptr;
  }

  // Passes, of route notifications, only deletions of routes the kernel made, and other routes through the devices of
  // these ranges (first and last index): a router's table, which changes by the thousand, must not fill the receive
  // buffer.
  static int dropOthersRoutes(int fd, const std::vector<uint32_t>& ranges) {
    constexpr uint32_t kType = offsetof(nlmsghdr, nlmsg_type);
    constexpr uint32_t kProtocol = NLMSG_HDRLEN + offsetof(rtmsg, rtm_protocol);
    constexpr uint32_t kAttributes = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(rtmsg));
    const sock_filter pass = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    const sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    // BPF_LD converts from network byte order; netlink has host byte order.
    std::vector<sock_filter> code = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kType),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 1, 0),
        pass,
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kProtocol),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTPROT_KERNEL, 3, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kProtocol),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTPROT_KERNEL, 0, 2),
        drop,
        pass,
        // The offset of RTA_OIF; 0: there is none.
        BPF_STMT(BPF_LDX | BPF_IMM, RTA_OIF),
        BPF_STMT(BPF_LD | BPF_IMM, kAttributes),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_NLATTR)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        drop,
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
    };
    // Byte by byte: a range is no range in the other byte order.
    const bool little = htonl(1) != 1;
    for (uint32_t byte = 0; byte < 4; byte++) {
      code.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_IND, RTA_LENGTH(byte)));
      code.push_back(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8 * (little ? byte : 3 - byte)));
      code.push_back(BPF_STMT(BPF_ST, byte));
    }
    for (uint32_t byte = 0; byte < 3; byte++) {
      code.push_back(BPF_STMT(BPF_LDX | BPF_MEM, byte));
      code.push_back(BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0));
    }
    for (size_t i = 0; i + 1 < ranges.size(); i += 2) {
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[i], 0, 2));
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, ranges[i + 1], 1, 0));
      code.push_back(pass);
    }
    code.push_back(drop);
    const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  }

  // followRoutes(ranges): 0 or an errno. Replaces those of the call before.
  Napi::Value followRoutes(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::list})) return {};
    std::vector<uint32_t> ranges;
    if (!numbersIn(info[0].As<Napi::Array>(), ranges, "a device")) return {};
    return Napi::Number::New(info.Env(), dropOthersRoutes(socket_.get(), ranges) < 0 ? errno : 0);
  }

  Napi::Value port(const Napi::CallbackInfo& info) {
    sockaddr_nl address{};
    socklen_t length = sizeof address;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return Napi::Number::New(info.Env(), address.nl_pid);
  }

  // Datagrams, which the kernel performs in this order while JavaScript runs on. A failure to send is answered, for each
  // message, as by the kernel.
  void send(const Napi::CallbackInfo& info) { queueFor(inOrder_, info); }

  // The same, beside those: what the kernel takes long for.
  void sendApart(const Napi::CallbackInfo& info) {
    queueFor(apart_, info);
    if (running_ && !apart_.thread.joinable()) {
      apart_.thread = startThread("carp-slow-links", [this] { runSender(apart_); });
    }
  }

  struct Sender {
    std::thread thread;
    std::condition_variable work;
    std::deque<Messages> waiting;
  };

  void queueFor(Sender& sender, const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::bytes})) return;
    const auto bytes = info[0].As<Napi::Uint8Array>();
    if (!running_ || bytes.ByteLength() < sizeof(nlmsghdr)) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      sender.waiting.emplace_back(bytes.Data(), bytes.Data() + bytes.ByteLength());
    }
    sender.work.notify_one();
  }

  int sendBytes(const uint8_t* bytes, size_t length) {
    ssize_t sent;
    do {
      sent = ::send(socket_.get(), bytes, length, 0);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
  }

  void close(const Napi::CallbackInfo& info) {
    if (!running_) return;
    hook_.Remove(info.Env());
    stop();
    Unref();
  }

  static void stopAtExit(NetlinkSocket* self) { self->stop(); }

  void stop() {
    if (!running_) return;
    running_ = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    room_.notify_one();
    eventfd_write(stopEvent_.get(), 1);
    reader_.join();
    for (Sender* sender : {&inOrder_, &apart_}) {
      sender->work.notify_one();
      if (sender->thread.joinable()) sender->thread.join();
    }
    wakeup_.Abort();
    socket_ = {};
    stopEvent_ = {};
  }

  void runSender(Sender& sender) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      sender.work.wait(lock, [&] { return stopping_ || !sender.waiting.empty(); });
      if (stopping_) return;
      const Messages datagram = std::move(sender.waiting.front());
      sender.waiting.pop_front();
      lock.unlock();
      const int error = sendBytes(datagram.data(), datagram.size());
      lock.lock();
      if (error == 0) continue;
      queue_.push_back(failures(datagram, error));
      if (!std::exchange(wakePending_, true)) wakeup_.NonBlockingCall();
    }
  }

  // An answer to each message of the datagram.
  static Messages failures(const Messages& datagram, int error) {
    Messages answers;
    nlmsghdr request;
    for (size_t at = 0; at + sizeof request <= datagram.size(); at += NLMSG_ALIGN(request.nlmsg_len)) {
      std::memcpy(&request, datagram.data() + at, sizeof request);
      if (request.nlmsg_len < sizeof request) break;
      nlmsghdr header{};
      header.nlmsg_len = NLMSG_LENGTH(sizeof(nlmsgerr));
      header.nlmsg_type = NLMSG_ERROR;
      header.nlmsg_seq = request.nlmsg_seq;
      header.nlmsg_pid = request.nlmsg_pid;
      const nlmsgerr answer = {-error, request};
      const size_t begin = answers.size();
      answers.resize(begin + NLMSG_ALIGN(header.nlmsg_len));
      std::memcpy(answers.data() + begin, &header, sizeof header);
      std::memcpy(answers.data() + begin + NLMSG_HDRLEN, &answer, sizeof answer);
    }
    return answers;
  }

  void run() {
    pollfd watched[] = {{socket_.get(), POLLIN, 0}, {stopEvent_.get(), POLLIN, 0}};
    for (;;) {
      if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
      std::unique_lock<std::mutex> lock(mutex_);
      room_.wait(lock, [this] { return stopping_ || queue_.size() < kQueueLimit; });
      if (stopping_) return;
      read();
      const bool wake = !queue_.empty() && !wakePending_;
      wakePending_ = wakePending_ || wake;
      lock.unlock();
      if (wake) wakeup_.NonBlockingCall();
    }
  }

  void read() {
    while (queue_.size() < kQueueLimit) {
      const ssize_t length = recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
      if (length < 0 && errno == EAGAIN) return;
      if (length < 0 && errno == EINTR) continue;
      // ENOBUFS, reported once. Datagrams still in the buffer come after the gap.
      const size_t size = length < 0 ? 0 : static_cast<size_t>(length);
      const bool joins = size > 0 && !queue_.empty() && !queue_.back().empty() && queue_.back().size() + size <= kTogether;
      if (!joins) queue_.emplace_back();
      if (size == 0) continue;
      Messages& messages = queue_.back();
      const size_t before = messages.size();
      messages.resize(before + NLMSG_ALIGN(size));
      if (recv(socket_.get(), messages.data() + before, size, 0) != length) messages.clear();
    }
  }

  Wakeup wakeup_;
  Descriptor socket_;
  Descriptor stopEvent_;
  std::thread reader_;
  Sender inOrder_;
  Sender apart_;
  Napi::Env::CleanupHook<void (*)(NetlinkSocket*), NetlinkSocket> hook_;
  bool running_ = false;

  std::mutex mutex_;
  std::condition_variable room_;
  bool stopping_ = false;
  bool wakePending_ = false;
  std::deque<Messages> queue_;
};

void deliver(Napi::Env env, Napi::Function callback, NetlinkSocket* socket, void*) {
  // Without an environment the wakeup is being torn down, and perhaps the socket is gone.
  if (env == nullptr || callback == nullptr) return;
  for (const Messages& messages : socket->take()) {
    const Napi::HandleScope scope(env);
    Napi::Value value = env.Undefined();
    if (!messages.empty()) {
      Napi::Uint8Array bytes = Napi::Uint8Array::New(env, messages.size());
      std::memcpy(bytes.Data(), messages.data(), messages.size());
      value = bytes;
    }
    callback.Call({value});
    if (env.IsExceptionPending()) {
      // Node only warns of an exception here; it must end the process like every uncaught one.
      const Napi::Error error = env.GetAndClearPendingException();
      napi_fatal_exception(env, error.Value());
    }
    // The callback may have closed the socket.
    if (!socket->running()) return;
  }
}

}  // namespace

void initNetlink(Napi::Env env, Napi::Object exports) { NetlinkSocket::init(env, exports); }

}  // namespace carp
