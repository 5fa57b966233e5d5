// Lists, attaches and detaches TCX programs of a device, by the bpf system call itself: libbpf and headers older than
// Linux 6.6 do not have it.

#include "bpf/tcx.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "support/apart.h"
#include "support/arguments.h"

namespace carp {
namespace {

constexpr uint32_t kIngress = 46;
constexpr uint32_t kEgress = 47;
constexpr uint32_t kReplace = 1 << 2;
constexpr uint32_t kBefore = 1 << 3;
constexpr uint32_t kAfter = 1 << 4;
constexpr uint32_t kById = 1 << 5;

// Members of union bpf_attr for these commands, since Linux 6.6.
struct Attachment {
  uint32_t ifindex;
  uint32_t program;
  uint32_t type;
  uint32_t flags;
  uint32_t replaced;
  uint32_t relative;
  uint64_t revision;
};

struct Query {
  uint32_t ifindex;
  uint32_t type;
  uint32_t queryFlags;
  uint32_t attachFlags;
  uint64_t programs;
  uint32_t count;
  uint32_t zero;
  uint64_t programFlags;
  uint64_t links;
  uint64_t linkFlags;
  uint64_t revision;
};

template <typename Attributes>
int call(int command, Attributes& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes) == 0 ? 0 : errno;
}

uint32_t typeOf(bool ingress) { return ingress ? kIngress : kEgress; }

Napi::Value listOf(Napi::Env env, const TcxPrograms& programs) {
  if (programs.error != 0) return Napi::Number::New(env, programs.error);
  Napi::Array list = Napi::Array::New(env, programs.ids.size());
  for (uint32_t i = 0; i < programs.ids.size(); i++) list.Set(i, Napi::Number::New(env, programs.ids[i]));
  return list;
}

// listTcx(ifindex, ingress): the programs' ids | errno
Napi::Value listTcx(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32, Argument::boolean})) return {};
  return listOf(info.Env(), tcxProgramsOn(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Boolean>()));
}

// listTcxApart(ifindex, ingress): a promise of the same
Napi::Value listTcxApart(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32, Argument::boolean})) return {};
  const uint32_t ifindex = info[0].As<Napi::Number>().Uint32Value();
  const bool ingress = info[1].As<Napi::Boolean>();
  return Apart<TcxPrograms>::run(info.Env(), [=] { return tcxProgramsOn(ifindex, ingress); }, listOf);
}

// detachTcx(id, ifindex, ingress): 0 or an errno. By its position, which needs no privilege to load programs.
Napi::Value detachTcx(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32, Argument::uint32, Argument::boolean})) return {};
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  Attachment attachment{};
  attachment.ifindex = info[1].As<Napi::Number>().Uint32Value();
  const bool ingress = info[2].As<Napi::Boolean>();
  attachment.type = typeOf(ingress);
  int error;
  do {
    const TcxPrograms programs = tcxProgramsOn(attachment.ifindex, ingress);
    if (programs.error != 0) return Napi::Number::New(info.Env(), programs.error);
    const auto found = std::find(programs.ids.begin(), programs.ids.end(), id);
    if (found == programs.ids.end()) return Napi::Number::New(info.Env(), ENOENT);
    const bool first = found == programs.ids.begin();
    attachment.flags = first ? kBefore : kAfter | kById;
    attachment.relative = first ? 0 : *(found - 1);
    attachment.revision = programs.revision;
    error = call(BPF_PROG_DETACH, attachment);
    // ESTALE: another process changed the order meanwhile.
  } while (error == ESTALE);
  return Napi::Number::New(info.Env(), error);
}

}  // namespace

TcxPrograms tcxProgramsOn(uint32_t ifindex, bool ingress) {
  // TCX takes fewer on one device.
  TcxPrograms programs{std::vector<uint32_t>(128), 0, 0};
  Query query{};
  query.ifindex = ifindex;
  query.type = typeOf(ingress);
  query.programs = reinterpret_cast<uint64_t>(programs.ids.data());
  query.count = static_cast<uint32_t>(programs.ids.size());
  programs.error = call(BPF_PROG_QUERY, query);
  programs.ids.resize(programs.error == 0 ? query.count : 0);
  programs.revision = query.revision;
  return programs;
}

int attachTcx(int program, uint32_t ifindex, bool ingress, int replaced) {
  Attachment attachment{};
  attachment.ifindex = ifindex;
  attachment.program = static_cast<uint32_t>(program);
  attachment.type = typeOf(ingress);
  attachment.flags = replaced < 0 ? kBefore : kReplace;
  attachment.replaced = replaced < 0 ? 0 : static_cast<uint32_t>(replaced);
  return call(BPF_PROG_ATTACH, attachment);
}

void initTcx(Napi::Env env, Napi::Object exports) {
  exports.Set("listTcx", Napi::Function::New(env, listTcx));
  exports.Set("listTcxApart", Napi::Function::New(env, listTcxApart));
  exports.Set("detachTcx", Napi::Function::New(env, detachTcx));
}

}  // namespace carp
