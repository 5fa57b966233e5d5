// The clsact qdisc of a device, and a list of the filters on it, ours and others'.

#include "bpf/clsact.h"

#include <bpf/libbpf.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "support/apart.h"
#include "support/arguments.h"
#include "support/descriptor.h"

namespace carp {
namespace {

bpf_tc_hook hookOf(const Napi::CallbackInfo& info) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = info[0].As<Napi::Number>().Int32Value();
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  return hook;
}

// createClsact(ifindex): 0 or an errno
Napi::Value createClsact(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  bpf_tc_hook hook = hookOf(info);
  return Napi::Number::New(info.Env(), -bpf_tc_hook_create(&hook));
}

// deleteClsact(ifindex): 0 or an errno. Takes every filter with it.
Napi::Value deleteClsact(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  bpf_tc_hook hook = hookOf(info);
  return Napi::Number::New(info.Env(), -bpf_tc_hook_destroy(&hook));
}

std::string nameIn(const rtattr* options) {
  int left = static_cast<int>(RTA_PAYLOAD(options));
  for (const rtattr* at = static_cast<const rtattr*>(RTA_DATA(options)); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type == TCA_BPF_NAME) return static_cast<const char*>(RTA_DATA(at));
  }
  return {};
}

Filter filterIn(const nlmsghdr* message) {
  const tcmsg* tc = static_cast<const tcmsg*>(NLMSG_DATA(message));
  Filter filter{TC_H_MAJ(tc->tcm_info) >> 16, tc->tcm_handle, 0, {}, {}};
  int left = static_cast<int>(NLMSG_PAYLOAD(message, sizeof *tc));
  // The kernel tells the kind before its options.
  for (const rtattr* at = TCA_RTA(tc); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type == TCA_KIND) filter.kind = static_cast<const char*>(RTA_DATA(at));
    if (at->rta_type == TCA_CHAIN) filter.chain = *static_cast<const uint32_t*>(RTA_DATA(at));
    if ((at->rta_type & NLA_TYPE_MASK) == TCA_OPTIONS && filter.kind == "bpf") filter.name = nameIn(at);
  }
  return filter;
}

// @returns 0 or an errno
int dumpFilters(int ifindex, uint32_t parent, std::vector<Filter>& filters) {
  const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.open()) return errno;
  struct {
    nlmsghdr header;
    tcmsg tc;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETTFILTER;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.tc.tcm_family = AF_UNSPEC;
  request.tc.tcm_ifindex = ifindex;
  request.tc.tcm_parent = parent;
  if (send(socket.get(), &request, sizeof request, 0) < 0) return errno;
  alignas(nlmsghdr) static thread_local uint8_t buffer[1 << 16];
  for (;;) {
    ssize_t length = recv(socket.get(), buffer, sizeof buffer, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return errno;
    int left = static_cast<int>(length);
    for (const nlmsghdr* at = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(at, static_cast<uint32_t>(left));
         at = NLMSG_NEXT(at, left)) {
      if (at->nlmsg_type == NLMSG_DONE) return 0;
      if (at->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(NLMSG_DATA(at))->error;
      if (at->nlmsg_type != RTM_NEWTFILTER) continue;
      filters.push_back(filterIn(at));
    }
  }
}

Napi::Value listOf(Napi::Env env, const Filters& found) {
  if (found.error != 0) return Napi::Number::New(env, found.error);
  Napi::Array list = Napi::Array::New(env, found.filters.size());
  for (uint32_t i = 0; i < found.filters.size(); i++) {
    const Filter& each = found.filters[i];
    Napi::Object filter = Napi::Object::New(env);
    filter.Set("priority", Napi::Number::New(env, each.priority));
    filter.Set("handle", Napi::Number::New(env, each.handle));
    filter.Set("chain", Napi::Number::New(env, each.chain));
    filter.Set("kind", Napi::String::New(env, each.kind));
    filter.Set("name", Napi::String::New(env, each.name));
    list.Set(i, filter);
  }
  return list;
}

// listFilters(ifindex, ingress): { priority, handle, chain, kind, name }[] | errno
Napi::Value listFilters(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::boolean})) return {};
  return listOf(info.Env(), filtersOn(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Boolean>()));
}

// listFiltersApart(ifindex, ingress): a promise of the same
Napi::Value listFiltersApart(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32, Argument::boolean})) return {};
  const int ifindex = info[0].As<Napi::Number>().Int32Value();
  const bool ingress = info[1].As<Napi::Boolean>();
  return Apart<Filters>::run(info.Env(), [=] { return filtersOn(ifindex, ingress); }, listOf);
}

}  // namespace

Filters filtersOn(int ifindex, bool ingress) {
  Filters found{};
  const uint32_t hook = ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS;
  found.error = dumpFilters(ifindex, TC_H_MAKE(TC_H_CLSACT, hook), found.filters);
  return found;
}

void initClsact(Napi::Env env, Napi::Object exports) {
  exports.Set("createClsact", Napi::Function::New(env, createClsact));
  exports.Set("deleteClsact", Napi::Function::New(env, deleteClsact));
  exports.Set("listFilters", Napi::Function::New(env, listFilters));
  exports.Set("listFiltersApart", Napi::Function::New(env, listFiltersApart));
}

}  // namespace carp
