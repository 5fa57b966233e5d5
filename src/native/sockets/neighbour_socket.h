// The JavaScript class NeighbourSocket: sends whole frames on one interface and reads the ARP replies and neighbour
// advertisements that arrive there. It never waits, and never looks inside a frame.
#pragma once

#include <napi.h>

namespace carp {

void initNeighbourSocket(Napi::Env env, Napi::Object exports);

}  // namespace carp
