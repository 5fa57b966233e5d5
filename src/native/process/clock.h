// The two clocks: CLOCK_BOOTTIME, which timers and leases use, and CLOCK_REALTIME, which the kernel stamps packets
// with. Nanoseconds inside the addon; TypeScript gets whole microseconds.
#pragma once

#include <napi.h>

#include <cstdint>

namespace carp {

struct Clocks {
  int64_t bootNs;
  int64_t realNs;
};

int64_t bootNs();

// Both clocks at one moment.
Clocks readClocks();

void initClock(Napi::Env env, Napi::Object exports);

}  // namespace carp
