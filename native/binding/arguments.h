#pragma once

#include <napi.h>

#include <span>
#include <string>
#include <vector>

namespace voxpod::binding {

// Arguments come from lib/, which has validated them; these guard against misuse of the addon
// itself and throw a TypeError with code INVALID_ARGUMENT.

[[noreturn]] void refuse(Napi::Env env, const std::string& message);
bool truth(const Napi::Value& value, const char* name);
Napi::Object object(const Napi::Value& value, const char* name);
std::string text(const Napi::Value& value, const char* name);
double number(const Napi::Value& value, const char* name);
/// A whole number of magnitude up to 2^53.
int64_t integer(const Napi::Value& value, const char* name);
/// The samples of a Float32Array, which the caller keeps alive.
std::span<const float> samples(const Napi::Value& value, const char* name);
std::vector<float> floats(const Napi::Value& value, const char* name);
std::vector<uint8_t> bytes(const Napi::Value& value, const char* name);
std::vector<int64_t> tokens(const Napi::Value& value, const char* name);

}  // namespace voxpod::binding
