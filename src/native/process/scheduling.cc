// Puts threads under a real-time policy: the kernel runs them as soon as they have something to do.

#include "process/scheduling.h"

#include <sched.h>

#include <cerrno>

#include "support/arguments.h"

namespace carp {
namespace {

// scheduleAtOnce(thread): 0, or an errno. SCHED_RR at the lowest of its priorities; threads started later inherit it.
Napi::Value scheduleAtOnce(const Napi::CallbackInfo& info) {
  if (!takes(info, {Argument::int32})) return {};
  sched_param param{};
  param.sched_priority = sched_get_priority_min(SCHED_RR);
  const int failed = sched_setscheduler(info[0].As<Napi::Number>().Int32Value(), SCHED_RR, &param);
  return Napi::Number::New(info.Env(), failed < 0 ? errno : 0);
}

}  // namespace

void initScheduling(Napi::Env env, Napi::Object exports) {
  exports.Set("scheduleAtOnce", Napi::Function::New(env, scheduleAtOnce));
}

}  // namespace carp
