// Checks the types of arguments from JavaScript before any is used, because TypeScript's types end at the addon. A
// wrong type throws a TypeError and never becomes a wrong memory access.
#pragma once

#include <napi.h>

#include <initializer_list>

namespace carp {

enum class Argument {
  int32,
  uint32,
  // A finite number from 0; its fraction is dropped.
  amount,
  text,
  boolean,
  bytes,
  doubles,
  list,
  object,
  function,
};

// Whether the call has these arguments. If not, a TypeError is pending and the caller must return.
bool takes(const Napi::CallbackInfo& info, std::initializer_list<Argument> expected);

// The same for one value, which the TypeError calls `what`.
bool takes(const Napi::Value& value, Argument expected, const char* what);

}  // namespace carp
