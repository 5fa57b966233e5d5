// Drops capabilities and lifts RLIMIT_MEMLOCK. Capabilities are dropped for the calling thread only: the exec that
// follows ends the others.

#include "process/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "support/arguments.h"

namespace carp {
namespace {

Napi::Value failure(Napi::Env env, const char* call) {
  const int error = errno;
  Napi::Object result = Napi::Object::New(env);
  result.Set("call", Napi::String::New(env, call));
  result.Set("error", Napi::Number::New(env, error));
  return result;
}

// dropPrivileges(kept): keeps the capabilities of these numbers, as far as it has them. undefined, or a failure.
Napi::Value dropPrivileges(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::list})) return {};
  const Napi::Env env = info.Env();
  const auto list = info[0].As<Napi::Array>();
  uint64_t kept = 0;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value capability = list.Get(i);
    if (!takes(capability, Argument::uint32, "a capability")) return {};
    // Linux has fewer than 64 capabilities.
    const uint32_t number = capability.As<Napi::Number>().Uint32Value();
    if (number < 64) kept |= uint64_t{1} << number;
  }

  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) < 0) return failure(env, "capget");
  // EPERM in a container is no failure: with no_new_privs an exec cannot gain them either.
  for (unsigned long each = 0; prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; each++)
    if (((kept >> each) & 1) == 0 && prctl(PR_CAPBSET_DROP, each, 0, 0, 0) < 0 && errno != EPERM)
      return failure(env, "PR_CAPBSET_DROP");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return failure(env, "PR_CAP_AMBIENT");
  for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
    sets[half].permitted &= static_cast<uint32_t>(kept >> (32 * half));
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capset, &header, sets) < 0) return failure(env, "capset");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failure(env, "PR_SET_NO_NEW_PRIVS");
  return env.Undefined();
}

// unlimitLockedMemory(): before 5.11 the kernel counts maps as locked memory. 0 or an errno.
Napi::Value unlimitLockedMemory(const Napi::CallbackInfo& info) {
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  return Napi::Number::New(info.Env(), setrlimit(RLIMIT_MEMLOCK, &none) < 0 ? errno : 0);
}

}  // namespace

void initPrivileges(Napi::Env env, Napi::Object exports) {
  exports.Set("dropPrivileges", Napi::Function::New(env, dropPrivileges));
  exports.Set("unlimitLockedMemory", Napi::Function::New(env, unlimitLockedMemory));
}

}  // namespace carp
