// The check of each type of argument, and the TypeError that names the wrong one.

#include "support/arguments.h"

#include <cmath>
#include <limits>
#include <string>

namespace carp {
namespace {

constexpr double kLargestExact = 9007199254740991;

bool isWholeWithin(const Napi::Value& value, double least, double most) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= least && number <= most && std::trunc(number) == number;
}

bool isAmount(const Napi::Value& value) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= 0 && number <= kLargestExact;
}

bool isArrayOf(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

bool is(const Napi::Value& value, Argument expected) {
  switch (expected) {
    case Argument::int32:
      return isWholeWithin(value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    case Argument::uint32:
      return isWholeWithin(value, 0, std::numeric_limits<uint32_t>::max());
    case Argument::amount:
      return isAmount(value);
    case Argument::text:
      return value.IsString();
    case Argument::boolean:
      return value.IsBoolean();
    case Argument::bytes:
      return isArrayOf(value, napi_uint8_array);
    case Argument::doubles:
      return isArrayOf(value, napi_float64_array);
    case Argument::list:
      return value.IsArray();
    case Argument::object:
      return value.IsObject();
    case Argument::function:
      return value.IsFunction();
  }
  return false;
}

const char* nameOf(Argument expected) {
  switch (expected) {
    case Argument::int32:
      return "a whole number of 32 bits";
    case Argument::uint32:
      return "a whole number from 0 to 4294967295";
    case Argument::amount:
      return "a number from 0 to 9007199254740991";
    case Argument::text:
      return "a string";
    case Argument::boolean:
      return "a boolean";
    case Argument::bytes:
      return "a Uint8Array";
    case Argument::doubles:
      return "a Float64Array";
    case Argument::list:
      return "an array";
    case Argument::object:
      return "an object";
    case Argument::function:
      return "a function";
  }
  return "";
}

}  // namespace

bool takes(const Napi::Value& value, Argument expected, const char* what) {
  // A getter of the list threw an exception.
  if (value.IsEmpty()) return false;
  if (is(value, expected)) return true;
  const std::string text = std::string(what) + ": must be " + nameOf(expected);
  Napi::TypeError::New(value.Env(), text).ThrowAsJavaScriptException();
  return false;
}

bool takes(const Napi::CallbackInfo& info, std::initializer_list<Argument> expected) {
  size_t at = 0;
  for (const Argument each : expected) {
    const std::string what = "argument " + std::to_string(at + 1);
    if (!takes(info[at], each, what.c_str())) return false;
    at++;
  }
  return true;
}

}  // namespace carp
