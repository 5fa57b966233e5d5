// Gives up root: user and groups, capabilities, the means to gain others, and what Landlock (Linux 5.13) withholds.
// The kernel keeps all but the user and groups for each thread: a signal makes every other thread do what this one
// does. Also lifts RLIMIT_MEMLOCK and finds users.

#include "process/privileges.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/arguments.h"
#include "support/descriptor.h"

namespace carp {
namespace {

// What the threads do, with system calls alone: it runs in a signal handler.
struct Order {
  uint64_t bounding;
  uint64_t capabilities;
  int ruleset;
  std::atomic<int> done;
  std::atomic<int> error;
};
Order order;

void note(int error) {
  int none = 0;
  order.error.compare_exchange_strong(none, error);
}

// Lowers the bounding set, which needs a capability that the thread is about to lose. EPERM in a container is no
// failure: without new privileges an exec cannot gain them either.
void lowerBounds() {
  for (unsigned long each = 0; prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; each++)
    if (((order.bounding >> each) & 1) == 0 && prctl(PR_CAPBSET_DROP, each, 0, 0, 0) < 0 && errno != EPERM) note(errno);
}

// Keeps of the permitted capabilities those of the order, and can gain none; Landlock confines what it opens.
void confine() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) note(errno);
  if (order.ruleset >= 0 && syscall(SYS_landlock_restrict_self, order.ruleset, 0) < 0) note(errno);
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) note(errno);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) < 0) return note(errno);
  for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; half++) {
    sets[half].permitted &= static_cast<uint32_t>(order.capabilities >> (32 * half));
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capset, &header, sets) < 0) note(errno);
}

void (*step)();

std::vector<pid_t> otherThreads() {
  std::vector<pid_t> threads;
  DIR* const directory = opendir("/proc/self/task");
  if (directory == nullptr) return threads;
  const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  while (const dirent* entry = readdir(directory)) {
    const pid_t thread = static_cast<pid_t>(strtol(entry->d_name, nullptr, 10));
    if (thread > 0 && thread != self) threads.push_back(thread);
  }
  closedir(directory);
  return threads;
}

void onSignal(int, siginfo_t*, void*) {
  const int before = errno;
  step();
  order.done.fetch_add(1);
  errno = before;
}

// Does the step on every thread. 0, or the first errno; ETIMEDOUT: a thread does not take signals.
int onEveryThread(void (*what)()) {
  constexpr int kPauses = 2000;
  const int signal = SIGRTMAX - 1;
  struct sigaction taken{}, before{};
  taken.sa_sigaction = onSignal;
  taken.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&taken.sa_mask);
  order.done = 0;
  order.error = 0;
  step = what;
  if (sigaction(signal, &taken, &before) < 0) return errno;
  int asked = 0;
  for (const pid_t thread : otherThreads())
    if (syscall(SYS_tgkill, getpid(), thread, signal) == 0) asked++;
  what();
  const timespec pause{0, 1'000'000};
  for (int i = 0; i < kPauses && order.done < asked; i++) nanosleep(&pause, nullptr);
  if (order.done < asked) return ETIMEDOUT;
  sigaction(signal, &before, nullptr);
  return order.error;
}

// Of <linux/landlock.h>, whose members and flags differ between the headers of distributions.
struct LandlockRules {
  uint64_t files;
  uint64_t network;
  uint64_t scopes;
};
struct __attribute__((packed)) LandlockPath {
  uint64_t allowed;
  int32_t parent;
};
constexpr uint64_t kReadFile = 1 << 2, kReadDirectory = 1 << 3, kWriteFile = 1 << 1, kTruncate = 1 << 14;
constexpr uint64_t kRead = kReadFile | kReadDirectory;
// Making, removing and renaming regular files, sockets and symbolic links.
constexpr uint64_t kManage = 1 << 5 | 1 << 8 | 1 << 9 | 1 << 12;

// All rights about files that this version of Landlock knows, executing among them.
uint64_t fileRights(int version) {
  if (version >= 5) return (1 << 16) - 1;
  if (version >= 3) return (1 << 15) - 1;
  return version == 2 ? (1 << 14) - 1 : (1 << 13) - 1;
}

bool allow(int ruleset, const std::string& path, uint64_t rights) {
  const Descriptor parent(open(path.c_str(), O_PATH | O_CLOEXEC));
  // What does not exist cannot be allowed; it is not needed either.
  if (!parent.open()) return true;
  struct stat found {};
  if (fstat(parent.get(), &found) == 0 && !S_ISDIR(found.st_mode)) rights &= kReadFile | kWriteFile | kTruncate;
  const LandlockPath rule{rights, parent.get()};
  return syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0) == 0;
}

std::vector<std::string> textsIn(const Napi::Array& list) {
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < list.Length(); i++) texts.push_back(list.Get(i).As<Napi::String>().Utf8Value());
  return texts;
}

bool holds(const Napi::Array& list, Argument expected, const char* what) {
  for (uint32_t i = 0; i < list.Length(); i++)
    if (!takes(list.Get(i), expected, what)) return false;
  return true;
}

Napi::Object failure(Napi::Env env, const char* call, int error) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("call", Napi::String::New(env, call));
  result.Set("error", Napi::Number::New(env, error));
  return result;
}

// giveUpRoot(uid, gid, groups, capabilities, readable, writable): the list of failures. uid 0: only capabilities go.
// Every step is taken, whatever became of those before.
Napi::Value giveUpRoot(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::uint32, Argument::uint32, Argument::list, Argument::list, Argument::list, Argument::list}))
    return {};
  const Napi::Env env = info.Env();
  const auto groups = info[2].As<Napi::Array>();
  const auto kept = info[3].As<Napi::Array>();
  const auto readable = info[4].As<Napi::Array>();
  const auto writable = info[5].As<Napi::Array>();
  if (!holds(groups, Argument::uint32, "a group") || !holds(kept, Argument::uint32, "a capability") ||
      !holds(readable, Argument::text, "a path") || !holds(writable, Argument::text, "a path"))
    return {};
  Napi::Array failures = Napi::Array::New(env);
  const auto check = [&](int error, const char* call) {
    if (error != 0) failures.Set(failures.Length(), failure(env, call, error));
  };
  const uid_t uid = info[0].As<Napi::Number>().Uint32Value();
  const gid_t gid = info[1].As<Napi::Number>().Uint32Value();
  std::vector<gid_t> members;
  for (uint32_t i = 0; i < groups.Length(); i++) members.push_back(groups.Get(i).As<Napi::Number>().Uint32Value());
  order.capabilities = 0;
  for (uint32_t i = 0; i < kept.Length(); i++) {
    // Linux has fewer than 64 capabilities.
    const uint32_t number = kept.Get(i).As<Napi::Number>().Uint32Value();
    if (number < 64) order.capabilities |= uint64_t{1} << number;
  }
  order.bounding = order.capabilities;

  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
  LandlockRules rules{fileRights(static_cast<int>(version)), version >= 4 ? 3u : 0u, 0};
  const size_t size = version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
  const Descriptor ruleset(version < 1 ? -1 : static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, size, 0)));
  if (version >= 1 && !ruleset.open()) check(errno, "landlock_create_ruleset");
  if (ruleset.open()) {
    for (const std::string& path : textsIn(readable))
      if (!allow(ruleset.get(), path, kRead)) check(errno, "landlock_add_rule");
    for (const std::string& path : textsIn(writable))
      if (!allow(ruleset.get(), path, rules.files & (kRead | kWriteFile | kTruncate | kManage)))
        check(errno, "landlock_add_rule");
  }
  order.ruleset = ruleset.get();

  check(onEveryThread(lowerBounds), "PR_CAPBSET_DROP");
  // glibc changes the user and groups of all threads.
  check(setgroups(members.size(), members.data()) < 0 ? errno : 0, "setgroups");
  if (uid != 0) {
    check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? errno : 0, "PR_SET_KEEPCAPS");
    check(setresgid(gid, gid, gid) < 0 ? errno : 0, "setresgid");
    check(setresuid(uid, uid, uid) < 0 ? errno : 0, "setresuid");
  }
  check(onEveryThread(confine), "confining every thread");
  // No process of the same user may look into it or trace it, and a crash leaves no core.
  check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? errno : 0, "PR_SET_DUMPABLE");
  return failures;
}

// userId(name): { uid, gid } | undefined
Napi::Value userId(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::text})) return {};
  const Napi::Env env = info.Env();
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  std::vector<char> buffer(1 << 16);
  passwd entry{};
  passwd* found = nullptr;
  int error;
  do {
    error = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  } while (error == EINTR);
  if (error != 0 || found == nullptr) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  result.Set("uid", Napi::Number::New(env, found->pw_uid));
  result.Set("gid", Napi::Number::New(env, found->pw_gid));
  return result;
}

// unlimitLockedMemory(): before 5.11 the kernel counts maps as locked memory. 0 or an errno.
Napi::Value unlimitLockedMemory(const Napi::CallbackInfo& info) {
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  return Napi::Number::New(info.Env(), setrlimit(RLIMIT_MEMLOCK, &none) < 0 ? errno : 0);
}

}  // namespace

void initPrivileges(Napi::Env env, Napi::Object exports) {
  exports.Set("giveUpRoot", Napi::Function::New(env, giveUpRoot));
  exports.Set("userId", Napi::Function::New(env, userId));
  exports.Set("unlimitLockedMemory", Napi::Function::New(env, unlimitLockedMemory));
}

}  // namespace carp
