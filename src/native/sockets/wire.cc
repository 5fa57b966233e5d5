// The JavaScript class Sockets: packet and raw sockets with their reading thread. It checks the types of arguments and
// moves bytes; which socket to open and what a frame means is decided in src/kernel/sockets.

#include "sockets/wire.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "support/arguments.h"
#include "sockets/ahead.h"
#include "sockets/receiver.h"

namespace carp {
namespace {

class Sockets;
void deliver(Napi::Env env, Napi::Function callback, Sockets* sockets, void*);
using Wakeup = Napi::TypedThreadSafeFunction<Sockets, void, deliver>;
void tellEnded(Napi::Env env, Napi::Function callback, Sockets* sockets, void*);
using Ended = Napi::TypedThreadSafeFunction<Sockets, void, tellEnded>;

// { bytes, frames: [handle, receivedUs, offset, length]*, repeated: [handle, vhid, family, copies]*,
//   copyTimes: receivedUs*, copyCounters: counter*, strays: [ifindex, family]*, rateLimited: [ifindex, family, count]*,
//   deaf: [handle, errno]* }
Napi::Object toObject(Napi::Env env, const Batch& batch) {
  Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, batch.bytes.size());
  if (!batch.bytes.empty()) std::memcpy(memory.Data(), batch.bytes.data(), batch.bytes.size());
  Napi::Float64Array frames = Napi::Float64Array::New(env, batch.frames.size() * 4);
  double* at = frames.Data();
  for (const Frame& frame : batch.frames) {
    *at++ = frame.handle;
    *at++ = static_cast<double>(frame.receivedNs / 1000);
    *at++ = static_cast<double>(frame.offset);
    *at++ = frame.length;
  }
  size_t copies = 0;
  for (const Repeated& each : batch.repeated) copies += each.copies.size();
  Napi::Float64Array repeated = Napi::Float64Array::New(env, batch.repeated.size() * 4);
  Napi::Float64Array copyTimes = Napi::Float64Array::New(env, copies);
  Napi::BigUint64Array copyCounters = Napi::BigUint64Array::New(env, copies);
  at = repeated.Data();
  copies = 0;
  for (const Repeated& each : batch.repeated) {
    *at++ = each.handle;
    *at++ = each.vhid;
    *at++ = each.family;
    *at++ = static_cast<double>(each.copies.size());
    for (const Copy& copy : each.copies) {
      copyTimes[copies] = static_cast<double>(copy.receivedNs / 1000);
      copyCounters[copies++] = copy.counter;
    }
  }
  Napi::Float64Array strays = Napi::Float64Array::New(env, batch.strays.size() * 2);
  at = strays.Data();
  for (const Stray& stray : batch.strays) {
    *at++ = stray.ifindex;
    *at++ = stray.family;
  }
  Napi::Float64Array rateLimited = Napi::Float64Array::New(env, batch.rateLimited.size() * 3);
  at = rateLimited.Data();
  for (const RateLimited& each : batch.rateLimited) {
    *at++ = each.ifindex;
    *at++ = each.family;
    *at++ = static_cast<double>(each.count);
  }
  Napi::Float64Array deaf = Napi::Float64Array::New(env, batch.deaf.size() * 2);
  at = deaf.Data();
  for (const Deaf& each : batch.deaf) {
    *at++ = each.handle;
    *at++ = each.error;
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", memory);
  result.Set("frames", frames);
  result.Set("repeated", repeated);
  result.Set("copyTimes", copyTimes);
  result.Set("copyCounters", copyCounters);
  result.Set("strays", strays);
  result.Set("rateLimited", rateLimited);
  result.Set("deaf", deaf);
  return result;
}

Napi::Value failureOf(Napi::Env env, const Failure& failure) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("call", failure.call);
  result.Set("error", failure.error);
  return result;
}

class Sockets : public Napi::ObjectWrap<Sockets> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("Sockets", DefineClass(env, "Sockets",
                                       {
                                           InstanceMethod<&Sockets::open>("open"),
                                           InstanceMethod<&Sockets::close>("close"),
                                           InstanceMethod<&Sockets::send>("send"),
                                           InstanceMethod<&Sockets::sendAhead>("sendAhead"),
                                           InstanceMethod<&Sockets::recall>("recall"),
                                           InstanceMethod<&Sockets::hold>("hold"),
                                           InstanceMethod<&Sockets::sendDue>("sendDue"),
                                           InstanceMethod<&Sockets::release>("release"),
                                           InstanceMethod<&Sockets::membership>("membership"),
                                           InstanceMethod<&Sockets::rejoin>("rejoin"),
                                           InstanceMethod<&Sockets::openRaw>("openRaw"),
                                           InstanceMethod<&Sockets::closeRaw>("closeRaw"),
                                           InstanceMethod<&Sockets::sendUnicast>("sendUnicast"),
                                           InstanceMethod<&Sockets::setForms>("setForms"),
                                           InstanceMethod<&Sockets::fold>("fold"),
                                           InstanceMethod<&Sockets::unfold>("unfold"),
                                           InstanceMethod<&Sockets::latest>("latest"),
                                           InstanceMethod<&Sockets::ready>("ready"),
                                           InstanceMethod<&Sockets::drain>("drain"),
                                           InstanceMethod<&Sockets::shutdown>("shutdown"),
                                       }));
  }

  // new Sockets(deliver: (batch) => void, ended: () => void)
  explicit Sockets(const Napi::CallbackInfo& info)
      : ObjectWrap(info),
        ahead_([this] { ended_.NonBlockingCall(); }),
        receiver_([this] { wakeup_.NonBlockingCall(); },
                  [this](uint32_t handle, uint8_t vhid) { ahead_.heard(handle, vhid); }) {
    Napi::Env env = info.Env();
    if (!takes(info, {Argument::function, Argument::function})) return;
    ended_ = Ended::New(env, info[1].As<Napi::Function>(), "carp advertisements ahead", 0, 1, this);
    ended_.Unref(env);
    wakeup_ = Wakeup::New(env, info[0].As<Napi::Function>(), "carp frames", 0, 1, this);
    wakeup_.Unref(env);
    if (const Failure failure = receiver_.start()) {
      wakeup_.Abort();
      ended_.Abort();
      const std::string text = std::string(failure.call) + ": " + std::strerror(failure.error);
      Napi::Error::New(env, text).ThrowAsJavaScriptException();
      return;
    }
    ahead_.start();
    // Hooks run last in, first out: the thread is gone before the wakeup it calls.
    hook_ = env.AddCleanupHook(&Sockets::stopAtExit, this);
    running_ = true;
    Ref();
  }

  Batch take() { return receiver_.take(); }
  void ready() {
    if (running_) receiver_.ready();
  }

 private:
  void stop() {
    if (!running_) return;
    running_ = false;
    // Before the sockets that it sends over.
    ahead_.stop();
    receiver_.stop();
    wakeup_.Abort();
    ended_.Abort();
  }

  Napi::Value open(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::int32})) return {};
    if (!running_) return failureOf(info.Env(), {"open", ESHUTDOWN});
    uint32_t handle = 0;
    const Failure failure = receiver_.open(info[0].As<Napi::Number>().Int32Value(), handle);
    if (failure) return failureOf(info.Env(), failure);
    return Napi::Number::New(info.Env(), handle);
  }

  void close(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32})) return;
    ahead_.forget(handleOf(info));
    receiver_.close(handleOf(info));
  }

  Napi::Value send(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::bytes})) return {};
    PacketSocket* socket = receiver_.find(handleOf(info));
    const auto frame = info[1].As<Napi::Uint8Array>();
    return Napi::Number::New(info.Env(), socket == nullptr ? ENODEV : socket->send(frame.Data(), frame.ByteLength()));
  }

  // sendAhead(handle, vhid, times: [at, until, lease until]*, lengths: [family's frame]*, frames: Uint8Array,
  //           leases: [node's: Uint8Array of 8, interface's: Uint8Array of 8] | []): boolean
  Napi::Value sendAhead(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::uint32, Argument::doubles, Argument::doubles, Argument::bytes,
                      Argument::list}))
      return {};
    const auto times = info[2].As<Napi::Float64Array>();
    const auto lengths = info[3].As<Napi::Float64Array>();
    const auto frames = info[4].As<Napi::Uint8Array>();
    std::vector<TimesAhead> all;
    for (size_t i = 0; i + 2 < times.ElementLength(); i += 3)
      all.push_back({nsOf(times[i]), nsOf(times[i + 1]), nsOf(times[i + 2])});
    Ahead::Frames made{frames.Data(), {}};
    size_t bytes = 0;
    for (size_t i = 0; i < std::min(lengths.ElementLength(), made.lengths.size()); i++) {
      made.lengths[i] = static_cast<size_t>(std::max(0.0, std::min(lengths[i], double{UINT16_MAX})));
      bytes += made.lengths[i];
    }
    if (all.empty() || bytes == 0 || frames.ByteLength() != bytes * all.size()) {
      Napi::RangeError::New(info.Env(), "the frames have other lengths").ThrowAsJavaScriptException();
      return {};
    }
    Leases leases;
    if (!leasesIn(info[5].As<Napi::Array>(), leases)) return {};
    PacketSocket* socket = running_ ? receiver_.find(handleOf(info)) : nullptr;
    return Napi::Boolean::New(info.Env(), socket != nullptr && ahead_.add(handleOf(info), vhidOf(info), *socket,
                                                                         leases, all, made));
  }

  // Reads where two leases are, and keeps that memory as long as this.
  bool leasesIn(const Napi::Array& list, Leases& leases) {
    if (list.Length() == 0) return true;
    uint64_t* found[2];
    for (uint32_t i = 0; i < 2; i++) {
      const Napi::Value value = list.Get(i);
      if (!takes(value, Argument::bytes, "a lease")) return false;
      auto bytes = value.As<Napi::Uint8Array>();
      if (bytes.ByteLength() != sizeof(uint64_t) || reinterpret_cast<uintptr_t>(bytes.Data()) % sizeof(uint64_t) != 0) {
        Napi::RangeError::New(list.Env(), "a lease: must be 8 aligned bytes").ThrowAsJavaScriptException();
        return false;
      }
      found[i] = reinterpret_cast<uint64_t*>(bytes.Data());
      keep(bytes.ArrayBuffer());
    }
    leases = {found[0], found[1]};
    return true;
  }

  void keep(Napi::ArrayBuffer memory) {
    for (const auto& each : kept_)
      if (each.Value().StrictEquals(memory)) return;
    kept_.push_back(Napi::Persistent(memory));
  }

  // recall(handle, vhid)
  void recall(const Napi::CallbackInfo& info) {
    if (takes(info, {Argument::uint32, Argument::uint32})) ahead_.recall(handleOf(info), vhidOf(info));
  }

  void hold(const Napi::CallbackInfo&) { ahead_.hold(); }

  // sendDue(us): [handle, vhid, at, in part]*, or undefined when nothing has ended
  Napi::Value sendDue(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::amount})) return {};
    const std::vector<AheadEnded> ended = ahead_.sendDue(nsOf(info[0].As<Napi::Number>().DoubleValue()));
    if (ended.empty()) return info.Env().Undefined();
    Napi::Float64Array told = Napi::Float64Array::New(info.Env(), 4 * ended.size());
    double* at = told.Data();
    for (const AheadEnded& each : ended) {
      *at++ = each.handle;
      *at++ = each.vhid;
      *at++ = static_cast<double>(each.atNs) / 1000;
      *at++ = each.inPart ? 1 : 0;
    }
    return told;
  }

  void release(const Napi::CallbackInfo&) { ahead_.release(); }

  static int64_t nsOf(double us) { return static_cast<int64_t>(std::llround(us * 1000)); }
  static uint8_t vhidOf(const Napi::CallbackInfo& info) {
    return static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value());
  }

  // membership(handle, mac: Uint8Array of 6, join: boolean)
  Napi::Value membership(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::bytes, Argument::boolean})) return {};
    PacketSocket* socket = receiver_.find(handleOf(info));
    const auto bytes = info[1].As<Napi::Uint8Array>();
    MacAddress mac;
    int error = ENODEV;
    if (bytes.ByteLength() != mac.size()) {
      error = EINVAL;
    } else if (socket != nullptr) {
      std::memcpy(mac.data(), bytes.Data(), mac.size());
      const bool join = info[2].As<Napi::Boolean>().Value();
      error = socket->membership(join ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, mac);
    }
    return Napi::Number::New(info.Env(), error);
  }

  void rejoin(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32})) return;
    if (PacketSocket* socket = receiver_.find(handleOf(info))) socket->rejoin();
  }

  Napi::Value openRaw(const Napi::CallbackInfo& info) {
    if (!running_) return failureOf(info.Env(), {"open", ESHUTDOWN});
    const Failure failure = receiver_.openRaw();
    return failure ? failureOf(info.Env(), failure) : info.Env().Undefined();
  }

  void closeRaw(const Napi::CallbackInfo&) { receiver_.closeRaw(); }

  // sendUnicast(family, source, destination, trafficClass, scope, payload)
  Napi::Value sendUnicast(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::int32, Argument::text, Argument::text, Argument::int32, Argument::int32, Argument::bytes})) return {};
    const int family = info[0].As<Napi::Number>().Int32Value() == 4 ? 4 : 6;
    const int domain = family == 4 ? AF_INET : AF_INET6;
    uint8_t source[sizeof(in6_addr)];
    uint8_t destination[sizeof(in6_addr)];
    int error = EINVAL;
    if (inet_pton(domain, info[1].As<Napi::String>().Utf8Value().c_str(), source) == 1 &&
        inet_pton(domain, info[2].As<Napi::String>().Utf8Value().c_str(), destination) == 1) {
      const auto payload = info[5].As<Napi::Uint8Array>();
      error = receiver_.raw(family).send(source, destination, info[3].As<Napi::Number>().Int32Value(),
                                         info[4].As<Napi::Number>().Int32Value(), payload.Data(),
                                         payload.ByteLength());
    }
    return Napi::Number::New(info.Env(), error);
  }

  // setForms(owner: string, forms: { vhid, key, message }[])
  Napi::Value setForms(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::text, Argument::list})) return {};
    const std::string owner = info[0].As<Napi::String>().Utf8Value();
    const auto list = info[1].As<Napi::Array>();
    std::vector<SignedForm> forms;
    for (uint32_t i = 0; i < list.Length(); i++) {
      const Napi::Value value = list.Get(i);
      if (!takes(value, Argument::object, "a form")) return {};
      const auto form = value.As<Napi::Object>();
      const Napi::Value vhid = form.Get("vhid"), key = form.Get("key"), message = form.Get("message");
      if (!takes(vhid, Argument::uint32, "vhid") || !takes(key, Argument::bytes, "key") ||
          !takes(message, Argument::bytes, "message")) {
        return {};
      }
      SignedForm& added = forms.emplace_back(
          SignedForm{static_cast<uint8_t>(vhid.As<Napi::Number>().Uint32Value()), bytesOf(key), bytesOf(message)});
      if (added.key.size() != HmacSha1::kKeyBytes || added.message.size() < kCounterBytes) {
        Napi::TypeError::New(info.Env(), "a form: key must have 20 bytes, message at least 8")
            .ThrowAsJavaScriptException();
        return {};
      }
    }
    return Napi::Boolean::New(info.Env(), receiver_.setForms(owner, forms));
  }

  static std::vector<uint8_t> bytesOf(const Napi::Value& value) {
    const auto bytes = value.As<Napi::Uint8Array>();
    return {bytes.Data(), bytes.Data() + bytes.ByteLength()};
  }

  // fold(handle, frame: Uint8Array)
  void fold(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::bytes})) return;
    const auto frame = info[1].As<Napi::Uint8Array>();
    receiver_.fold(handleOf(info), frame.Data(), frame.ByteLength());
  }

  void unfold(const Napi::CallbackInfo&) {
    if (running_) receiver_.unfold();
  }

  // latest(handle, vhid): number
  Napi::Value latest(const Napi::CallbackInfo& info) {
    if (!takes(info, {Argument::uint32, Argument::uint32})) return {};
    const auto vhid = static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value());
    return Napi::Number::New(info.Env(), static_cast<double>(receiver_.latest(handleOf(info), vhid) / 1000));
  }

  void ready(const Napi::CallbackInfo&) { ready(); }

  Napi::Value drain(const Napi::CallbackInfo& info) { return toObject(info.Env(), receiver_.drain()); }

  void shutdown(const Napi::CallbackInfo& info) {
    if (!running_) return;
    hook_.Remove(info.Env());
    stop();
    Unref();
  }

  static void stopAtExit(Sockets* self) { self->stop(); }

  static uint32_t handleOf(const Napi::CallbackInfo& info) { return info[0].As<Napi::Number>().Uint32Value(); }

  Wakeup wakeup_;
  Ended ended_;
  // The reading thread uses it.
  Ahead ahead_;
  Receiver receiver_;
  std::vector<Napi::Reference<Napi::ArrayBuffer>> kept_;
  Napi::Env::CleanupHook<void (*)(Sockets*), Sockets> hook_;
  bool running_ = false;
};

// Node only warns of an exception in such a call; it must end the process like every uncaught one.
void endAtException(Napi::Env env) {
  if (!env.IsExceptionPending()) return;
  const Napi::Error error = env.GetAndClearPendingException();
  napi_fatal_exception(env, error.Value());
}

void deliver(Napi::Env env, Napi::Function callback, Sockets* sockets, void*) {
  // Without an environment the wakeup is being torn down, and perhaps the sockets are gone.
  if (env == nullptr || callback == nullptr) return;
  const Batch batch = sockets->take();
  // drain() has taken the queue in the meantime.
  if (batch.empty()) return sockets->ready();
  callback.Call({toObject(env, batch)});
  endAtException(env);
}

void tellEnded(Napi::Env env, Napi::Function callback, Sockets*, void*) {
  if (env == nullptr || callback == nullptr) return;
  callback.Call({});
  endAtException(env);
}

}  // namespace

void initWire(Napi::Env env, Napi::Object exports) { Sockets::init(env, exports); }

}  // namespace carp
