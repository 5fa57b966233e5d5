// Unix stream sockets outside Node's event loop: listening, accepting, reading and writing, none of which ever waits;
// and the class Readiness, whose thread tells when one of many sockets is ready, once each time it is asked. Node's own
// sockets accept and read as fast as their peers send; these do it when JavaScript says so.

#include "process/unix_socket.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include "support/arguments.h"
#include "support/descriptor.h"
#include "support/thread.h"

namespace carp {
namespace {

// A number from 0 as it is, a failure as -errno.
Napi::Value numberOrErrno(const Napi::CallbackInfo& info, ssize_t result) {
  return Napi::Number::New(info.Env(), static_cast<double>(result < 0 ? -errno : result));
}

// listenUnix(path, backlog): a descriptor; or -errno. A path that begins with a NUL is abstract.
Napi::Value listenUnix(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text, Argument::int32})) return {};
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0', 1) != std::string::npos) {
    errno = ENAMETOOLONG;
    return numberOrErrno(info, -1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return numberOrErrno(info, -1);
  Descriptor opened(fd);
  // No process can connect before the permissions of the path are set.
  const size_t length = path[0] == '\0' ? offsetof(sockaddr_un, sun_path) + path.size() : sizeof address;
  if (fchmod(fd, 0) < 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) < 0 ||
      listen(fd, info[1].As<Napi::Number>().Int32Value()) < 0) {
    return numberOrErrno(info, -1);
  }
  return Napi::Number::New(info.Env(), opened.release());
}

// listenerUid(path): the user that listens there; undefined when it cannot be told. A path that begins with a NUL is
// abstract.
Napi::Value listenerUid(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return info.Env().Undefined();
  std::memcpy(address.sun_path, path.data(), path.size());
  const size_t length = offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '\0' ? 0 : 1);
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (!probe.open() ||
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) < 0 ||
      getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0) {
    return info.Env().Undefined();
  }
  return Napi::Number::New(info.Env(), peer.uid);
}

// acceptUnix(listener): a descriptor; or -errno.
Napi::Value acceptUnix(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  const int listener = info[0].As<Napi::Number>().Int32Value();
  return numberOrErrno(info, accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

// receiveBytes(socket, into): number of bytes, 0 at the end; or -errno.
Napi::Value receiveBytes(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::bytes})) return {};
  auto into = info[1].As<Napi::Uint8Array>();
  return numberOrErrno(
      info, recv(info[0].As<Napi::Number>().Int32Value(), into.Data(), into.ByteLength(), MSG_DONTWAIT));
}

// sendBytes(socket, bytes): number of bytes; or -errno.
Napi::Value sendBytes(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::bytes})) return {};
  auto bytes = info[1].As<Napi::Uint8Array>();
  return numberOrErrno(info, send(info[0].As<Napi::Number>().Int32Value(), bytes.Data(), bytes.ByteLength(),
                                  MSG_DONTWAIT | MSG_NOSIGNAL));
}

// closeSocket(socket)
void closeSocket(const Napi::CallbackInfo& info) {
  if (takes(info, {Argument::int32})) ::close(info[0].As<Napi::Number>().Int32Value());
}

class Readiness;
void deliver(Napi::Env env, Napi::Function callback, Readiness*, void*);
using Wakeup = Napi::TypedThreadSafeFunction<Readiness, void, deliver>;

class Readiness : public Napi::ObjectWrap<Readiness> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("Readiness", DefineClass(env, "Readiness",
                                         {
                                             InstanceMethod<&Readiness::watch>("watch"),
                                             InstanceMethod<&Readiness::take>("take"),
                                             InstanceMethod<&Readiness::wake>("wake"),
                                             InstanceMethod<&Readiness::close>("close"),
                                         }));
  }

  // new Readiness(ready: () => void)
  explicit Readiness(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    Napi::Env env = info.Env();
    if (!takes(info, {Argument::function})) return;
    epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
    stopEvent_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_.open() || !stopEvent_.open()) {
      Napi::Error::New(env, std::string("epoll: ") + std::strerror(errno)).ThrowAsJavaScriptException();
      return;
    }
    wakeup_ = Wakeup::New(env, info[0].As<Napi::Function>(), "carp clients", 0, 1, this);
    thread_ = startThread("carp-clients", [this] { run(); });
    // Hooks run last in, first out: the thread is gone before the wakeup it calls.
    hook_ = env.AddCleanupHook(&Readiness::stopAtExit, this);
    running_ = true;
    Ref();
  }

 private:
  // watch(socket, reads, writes): from now on, until the socket is reported once. 0 or an errno.
  Napi::Value watch(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::int32, Argument::boolean, Argument::boolean})) return {};
    const int fd = info[0].As<Napi::Number>().Int32Value();
    epoll_event event{};
    event.events = EPOLLONESHOT | (info[1].As<Napi::Boolean>() ? EPOLLIN | EPOLLRDHUP : 0u) |
                   (info[2].As<Napi::Boolean>() ? static_cast<uint32_t>(EPOLLOUT) : 0u);
    event.data.fd = fd;
    int result = epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    if (result < 0 && errno == ENOENT) result = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    return Napi::Number::New(info.Env(), result < 0 ? errno : 0);
  }

  // take(): the sockets that are ready, as many as fit.
  Napi::Value take(const Napi::CallbackInfo& info) {
    constexpr int kAtOnce = 64;
    epoll_event events[kAtOnce];
    const int count = std::max(0, epoll_wait(epoll_.get(), events, kAtOnce, 0));
    Napi::Array ready = Napi::Array::New(info.Env(), static_cast<size_t>(count));
    for (int i = 0; i < count; i++)
      ready.Set(static_cast<uint32_t>(i), Napi::Number::New(info.Env(), events[i].data.fd));
    return ready;
  }

  // wake(): calls back, once, when a socket is ready.
  void wake(const Napi::CallbackInfo&) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      asked_ = true;
    }
    changed_.notify_one();
  }

  void close(const Napi::CallbackInfo& info) {
    if (!running_) return;
    hook_.Remove(info.Env());
    stop();
    Unref();
  }

  static void stopAtExit(Readiness* self) { self->stop(); }

  void stop() {
    if (!running_) return;
    running_ = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    eventfd_write(stopEvent_.get(), 1);
    thread_.join();
    wakeup_.Abort();
  }

  void run() {
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || asked_; });
        if (stopping_) return;
        asked_ = false;
      }
      pollfd waiting[] = {{epoll_.get(), POLLIN, 0}, {stopEvent_.get(), POLLIN, 0}};
      while (poll(waiting, 2, -1) < 0 && errno == EINTR) {
      }
      if (waiting[1].revents != 0) return;
      wakeup_.NonBlockingCall();
    }
  }

  bool running_ = false;
  Descriptor epoll_;
  Descriptor stopEvent_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  bool stopping_ = false;
  Wakeup wakeup_;
  Napi::Env::CleanupHook<void (*)(Readiness*), Readiness> hook_;
};

void deliver(Napi::Env env, Napi::Function callback, Readiness*, void*) {
  if (env == nullptr || callback == nullptr) return;
  callback.Call({});
  if (env.IsExceptionPending()) {
    // Node only warns of an exception here; it must end the process like every uncaught one.
    const Napi::Error error = env.GetAndClearPendingException();
    napi_fatal_exception(env, error.Value());
  }
}

}  // namespace

void initUnixSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("listenUnix", Napi::Function::New(env, listenUnix));
  exports.Set("listenerUid", Napi::Function::New(env, listenerUid));
  exports.Set("acceptUnix", Napi::Function::New(env, acceptUnix));
  exports.Set("receiveBytes", Napi::Function::New(env, receiveBytes));
  exports.Set("sendBytes", Napi::Function::New(env, sendBytes));
  exports.Set("closeSocket", Napi::Function::New(env, closeSocket));
  Readiness::init(env, exports);
}

}  // namespace carp
