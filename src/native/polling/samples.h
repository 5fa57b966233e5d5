// Samples of things that the kernel does not notify of: each a hash, which is another one after a change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "support/descriptor.h"

namespace carp {

// In the order of the names in native-poller.ts.
enum class Kind : uint32_t { link, tcx, clsact, file, text, faults };
constexpr uint32_t kKinds = 6;

// Takes samples; for one thread.
class Sampler {
 public:
  // @param key the index of a device, a path, or so many faults as matter
  uint64_t sample(Kind kind, const std::string& key);

 private:
  uint64_t link(uint32_t ifindex);

  Descriptor socket_;
  uint32_t sequence_ = 0;
};

// As `sample` finds the link that the body of an RTM_NEWLINK message describes.
uint64_t linkSample(const uint8_t* body, size_t length);

}  // namespace carp
