// What other owners have on a device: the name of a program, and whether there is an XDP program.

#include "bpf/other_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstdint>

#include "support/arguments.h"
#include "support/descriptor.h"

namespace carp {
namespace {

// programName(id): string | undefined. Reaching other processes' programs needs CAP_SYS_ADMIN.
Napi::Value programName(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32})) return {};
  const Napi::Env env = info.Env();
  const Descriptor program(bpf_prog_get_fd_by_id(info[0].As<Napi::Number>().Uint32Value()));
  if (!program.open()) return env.Undefined();
  bpf_prog_info found{};
  uint32_t length = sizeof found;
  if (bpf_obj_get_info_by_fd(program.get(), &found, &length) != 0) return env.Undefined();
  return Napi::String::New(env, found.name);
}

// xdpProgram(ifindex): the id of an XDP program there; 0: none, or it cannot be told
Napi::Value xdpProgram(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  uint32_t id = 0;
  const int error = bpf_xdp_query_id(info[0].As<Napi::Number>().Int32Value(), 0, &id);
  return Napi::Number::New(info.Env(), error == 0 ? id : 0);
}

}  // namespace

void initOtherPrograms(Napi::Env env, Napi::Object exports) {
  exports.Set("programName", Napi::Function::New(env, programName));
  exports.Set("xdpProgram", Napi::Function::New(env, xdpProgram));
}

}  // namespace carp
