// The clsact qdisc of a device and its filters, for JavaScript; see native-bpf.ts.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace carp {

struct Filter {
  uint32_t priority;
  uint32_t handle;
  uint32_t chain;
  std::string kind;
  // Of an eBPF program; else empty.
  std::string name;
};

// The filters of one direction, in the order they run.
struct Filters {
  std::vector<Filter> filters;
  // 0 or an errno
  int error;
};

Filters filtersOn(int ifindex, bool ingress);

void initClsact(Napi::Env env, Napi::Object exports);

}  // namespace carp
