// Work that may wait long for the kernel, done on another thread while JavaScript runs on.
#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace carp {

template <typename Result>
class Apart : public Napi::AsyncWorker {
 public:
  // A promise of what `convert` makes of the result of `work`, which must use nothing of JavaScript.
  static Napi::Promise run(Napi::Env env, std::function<Result()> work,
                           std::function<Napi::Value(Napi::Env, const Result&)> convert) {
    auto* apart = new Apart(env, std::move(work), std::move(convert));
    apart->Queue();
    return apart->deferred_.Promise();
  }

 protected:
  void Execute() override { result_ = work_(); }
  void OnOK() override { deferred_.Resolve(convert_(Env(), result_)); }

 private:
  Apart(Napi::Env env, std::function<Result()> work, std::function<Napi::Value(Napi::Env, const Result&)> convert)
      : AsyncWorker(env), work_(std::move(work)), convert_(std::move(convert)), deferred_(env) {}

  std::function<Result()> work_;
  std::function<Napi::Value(Napi::Env, const Result&)> convert_;
  Result result_;
  Napi::Promise::Deferred deferred_;
};

}  // namespace carp
