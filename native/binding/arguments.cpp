#include "arguments.h"

#include <cmath>

#include "calls.h"

namespace voxpod::binding {

void refuse(Napi::Env env, const std::string& message) {
  throw to_js(env, Error(ErrorCode::kInvalidArgument, message));
}

bool truth(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) refuse(value.Env(), std::string("Expected true or false for ") + name);
  return value.As<Napi::Boolean>();
}

Napi::Object object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse(value.Env(), std::string("Expected an object for ") + name);
  return value.As<Napi::Object>();
}

std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) refuse(value.Env(), std::string("Expected a string for ") + name);
  return value.As<Napi::String>();
}

double number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(value.Env(), std::string("Expected a number for ") + name);
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integer(const Napi::Value& value, const char* name) {
  const double out = number(value, name);
  if (std::floor(out) != out || std::abs(out) > 9007199254740992.0) {
    refuse(value.Env(), std::string("Expected a whole number for ") + name);
  }
  return static_cast<int64_t>(out);
}

namespace {

/// A typed array of the given element type, or nothing.
bool is_array(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

}  // namespace

std::span<const float> samples(const Napi::Value& value, const char* name) {
  if (!is_array(value, napi_float32_array)) {
    refuse(value.Env(), std::string("Expected a Float32Array for ") + name);
  }
  const auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.ElementLength()};
}

std::vector<float> floats(const Napi::Value& value, const char* name) {
  const std::span<const float> all = samples(value, name);
  return {all.begin(), all.end()};
}

std::vector<uint8_t> bytes(const Napi::Value& value, const char* name) {
  if (!is_array(value, napi_uint8_array)) {
    refuse(value.Env(), std::string("Expected a Uint8Array for ") + name);
  }
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<int64_t> tokens(const Napi::Value& value, const char* name) {
  if (!is_array(value, napi_int32_array)) {
    refuse(value.Env(), std::string("Expected an Int32Array for ") + name);
  }
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

}  // namespace voxpod::binding
