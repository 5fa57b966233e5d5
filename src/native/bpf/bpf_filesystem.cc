// Mounts and unmounts a bpffs, where programs and maps outlive the process that loaded them.

#include "bpf/bpf_filesystem.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cerrno>
#include <string>

#include "support/arguments.h"

namespace carp {
namespace {

// mountBpf(path): 0 or an errno
Napi::Value mountBpf(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const int error = mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700");
  return Napi::Number::New(info.Env(), error == 0 ? 0 : errno);
}

// unmount(path): 0 or an errno
Napi::Value unmount(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  return Napi::Number::New(info.Env(), umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : errno);
}

// isBpf(path): whether a bpffs is mounted there
Napi::Value isBpf(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  struct statfs found;
  const bool is = statfs(path.c_str(), &found) == 0 && static_cast<uint32_t>(found.f_type) == BPF_FS_MAGIC;
  return Napi::Boolean::New(info.Env(), is);
}

}  // namespace

void initBpfFilesystem(Napi::Env env, Napi::Object exports) {
  exports.Set("mountBpf", Napi::Function::New(env, mountBpf));
  exports.Set("unmount", Napi::Function::New(env, unmount));
  exports.Set("isBpf", Napi::Function::New(env, isBpf));
}

}  // namespace carp
