// What JavaScript hands over, looked at before any of it is used: TypeScript's types end where the addon begins. What
// is of another type is a TypeError there, and never somebody else's memory here.
#pragma once

#include <napi.h>

#include <initializer_list>

namespace carp {

enum class Argument {
  int32,
  uint32,
  // A finite number, not below 0, of which the whole part counts.
  amount,
  text,
  boolean,
  bytes,
  doubles,
  list,
  object,
  function,
};

// Whether the call has these arguments. If not, a TypeError is pending and nothing is left to do but return.
bool takes(const Napi::CallbackInfo& info, std::initializer_list<Argument> expected);

// The same of one value, `what` it is being named in the TypeError.
bool takes(const Napi::Value& value, Argument expected, const char* what);

}  // namespace carp
