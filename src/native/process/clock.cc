// Reads both clocks as close together as can be, for JavaScript and for the timestamps of packets.

#include "process/clock.h"

#include <ctime>

#include "support/arguments.h"

namespace carp {
namespace {

int64_t read(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

// readClocks(into: Float64Array): boot time and epoch in microseconds; nothing is allocated.
void readInto(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::doubles})) return;
  auto into = info[0].As<Napi::Float64Array>();
  if (into.ElementLength() < 2) {
    Napi::TypeError::New(info.Env(), "argument 1: must have two elements").ThrowAsJavaScriptException();
    return;
  }
  const Clocks now = readClocks();
  into[0] = static_cast<double>(now.bootNs / 1000);
  into[1] = static_cast<double>(now.realNs / 1000);
}

}  // namespace

int64_t bootNs() { return read(CLOCK_BOOTTIME); }

Clocks readClocks() {
  constexpr int64_t kTogetherNs = 20'000;
  constexpr int kAttempts = 4;
  Clocks best{};
  int64_t smallestGap = INT64_MAX;
  // A preemption between the readings would shift every receive time: read again when they are far apart.
  for (int attempt = 0; attempt < kAttempts && smallestGap > kTogetherNs; attempt++) {
    const int64_t before = bootNs();
    const int64_t real = read(CLOCK_REALTIME);
    const int64_t gap = bootNs() - before;
    if (gap < smallestGap) {
      smallestGap = gap;
      best = {before + gap / 2, real};
    }
  }
  return best;
}

void initClock(Napi::Env env, Napi::Object exports) {
  exports.Set("readClocks", Napi::Function::New(env, readInto));
}

}  // namespace carp
