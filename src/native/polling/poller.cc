// The JavaScript class Poller: a thread that looks, every so often, at things the kernel does not notify of, and reports
// those that differ from the last time. JavaScript, whose memory is cold by then, does not run for the others.

#include "polling/poller.h"

#include <linux/rtnetlink.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "polling/samples.h"
#include "support/arguments.h"
#include "support/thread.h"

namespace carp {
namespace {

class Poller;
void deliver(Napi::Env env, Napi::Function callback, Poller* poller, void*);
using Wakeup = Napi::TypedThreadSafeFunction<Poller, void, deliver>;

struct Item {
  uint64_t sample = 0;
  // Reported the next time, whatever the sample is.
  bool doubted = true;
};

struct Group {
  Kind kind;
  // So many are looked at each time, in turn.
  size_t atOnce;
  std::map<std::string, Item> items;
  // The last key that was looked at.
  std::string last;
};

using Keys = std::vector<std::pair<uint32_t, std::string>>;

class Poller : public Napi::ObjectWrap<Poller> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("Poller", DefineClass(env, "Poller",
                                      {
                                          InstanceMethod<&Poller::group>("group"),
                                          InstanceMethod<&Poller::add>("add"),
                                          InstanceMethod<&Poller::remove>("remove"),
                                          InstanceMethod<&Poller::doubt>("doubt"),
                                          InstanceMethod<&Poller::know>("know"),
                                          InstanceMethod<&Poller::close>("close"),
                                      }));
  }

  // new Poller(periodMs, deliver: (changed: (number | string)[]) => void)
  explicit Poller(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    Napi::Env env = info.Env();
    if (!takes(info, {Argument::uint32, Argument::function})) return;
    period_ = std::chrono::milliseconds(info[0].As<Napi::Number>().Uint32Value());
    wakeup_ = Wakeup::New(env, info[1].As<Napi::Function>(), "carp poller", 0, 1, this);
    wakeup_.Unref(env);
    thread_ = startThread("carp-poller", [this] { run(); });
    hook_ = env.AddCleanupHook(&Poller::stopAtExit, this);
    running_ = true;
    Ref();
  }

  bool running() const { return running_; }

  Keys take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(changed_, {});
  }

 private:
  // group(kind, atOnce): the number of a new group
  Napi::Value group(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::uint32})) return {};
    const uint32_t kind = info[0].As<Napi::Number>().Uint32Value();
    if (kind >= kKinds) {
      Napi::RangeError::New(info.Env(), "kind").ThrowAsJavaScriptException();
      return {};
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    groups_.push_back({static_cast<Kind>(kind), info[1].As<Napi::Number>().Uint32Value(), {}, {}});
    return Napi::Number::New(info.Env(), static_cast<double>(groups_.size() - 1));
  }

  template <typename Act>
  void in(const Napi::CallbackInfo& info, Act act) {
    if (!takes(info, {Argument::uint32, Argument::text})) return;
    const uint32_t group = info[0].As<Napi::Number>().Uint32Value();
    const std::string key = info[1].As<Napi::String>().Utf8Value();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (group < groups_.size()) act(groups_[group].items, key);
  }

  // add(group, key): it is reported once, and then when it has changed.
  void add(const Napi::CallbackInfo& info) {
    in(info, [](auto& items, const std::string& key) { items[key] = {}; });
  }

  void remove(const Napi::CallbackInfo& info) {
    in(info, [](auto& items, const std::string& key) { items.erase(key); });
  }

  // doubt(group, key): it is reported the next time.
  void doubt(const Napi::CallbackInfo& info) {
    in(info, [](auto& items, const std::string& key) {
      if (const auto found = items.find(key); found != items.end()) found->second.doubted = true;
    });
  }

  // know(body): of a link message that JavaScript is about to handle. A link that is so is not reported.
  void know(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::bytes})) return;
    const auto body = info[0].As<Napi::Uint8Array>();
    if (body.ByteLength() < sizeof(ifinfomsg)) return;
    ifinfomsg link;
    std::memcpy(&link, body.Data(), sizeof link);
    const std::string key = std::to_string(link.ifi_index);
    const uint64_t sample = linkSample(body.Data(), body.ByteLength());
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Group& group : groups_) {
      if (group.kind != Kind::link) continue;
      if (const auto found = group.items.find(key); found != group.items.end()) found->second = {sample, false};
    }
  }

  void close(const Napi::CallbackInfo& info) {
    if (!running_) return;
    hook_.Remove(info.Env());
    stop();
    Unref();
  }

  static void stopAtExit(Poller* self) { self->stop(); }

  void stop() {
    if (!running_) return;
    running_ = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    wakeup_.Abort();
  }

  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!wake_.wait_for(lock, period_, [this] { return stopping_; })) {
      for (uint32_t group = 0; group < groups_.size(); group++) look(lock, group);
      if (!changed_.empty()) wakeup_.NonBlockingCall();
    }
  }

  // The lock is not held while the kernel is asked.
  void look(std::unique_lock<std::mutex>& lock, uint32_t group) {
    for (const std::string& key : nextKeys(groups_[group])) {
      const Kind kind = groups_[group].kind;
      lock.unlock();
      const uint64_t sample = sampler_.sample(kind, key);
      lock.lock();
      if (stopping_) return;
      const auto found = groups_[group].items.find(key);
      if (found == groups_[group].items.end()) continue;
      Item& item = found->second;
      if (!item.doubted && item.sample == sample) continue;
      item = {sample, false};
      changed_.emplace_back(group, key);
    }
  }

  static std::vector<std::string> nextKeys(Group& group) {
    std::vector<std::string> keys;
    auto at = group.items.upper_bound(group.last);
    while (keys.size() < group.atOnce && keys.size() < group.items.size()) {
      if (at == group.items.end()) at = group.items.begin();
      keys.push_back((at++)->first);
    }
    if (!keys.empty()) group.last = keys.back();
    return keys;
  }

  Wakeup wakeup_;
  std::thread thread_;
  std::chrono::milliseconds period_{};
  Sampler sampler_;
  Napi::Env::CleanupHook<void (*)(Poller*), Poller> hook_;
  bool running_ = false;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<Group> groups_;
  Keys changed_;
};

void deliver(Napi::Env env, Napi::Function callback, Poller* poller, void*) {
  // Without an environment the wakeup is being torn down, and perhaps the poller is gone.
  if (env == nullptr || callback == nullptr || !poller->running()) return;
  const Keys changed = poller->take();
  if (changed.empty()) return;
  const Napi::HandleScope scope(env);
  Napi::Array list = Napi::Array::New(env, 2 * changed.size());
  for (uint32_t i = 0; i < changed.size(); i++) {
    list.Set(2 * i, Napi::Number::New(env, changed[i].first));
    list.Set(2 * i + 1, Napi::String::New(env, changed[i].second));
  }
  callback.Call({list});
  if (env.IsExceptionPending()) {
    // Node only warns of an exception here; it must end the process like every uncaught one.
    const Napi::Error error = env.GetAndClearPendingException();
    napi_fatal_exception(env, error.Value());
  }
}

}  // namespace

void initPoller(Napi::Env env, Napi::Object exports) { Poller::init(env, exports); }

}  // namespace carp
