#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "calls.h"

namespace voxpod::binding {

/// A JavaScript object that holds a native value of `bytes` bytes until `dispose()` or collection.
template <typename Derived, typename T>
class Handle : public Napi::ObjectWrap<Derived> {
 public:
  explicit Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Derived>(info) {}

  void hold(Napi::Env env, T value, int64_t bytes) {
    value_ = std::move(value);
    bytes_ = bytes;
    Napi::MemoryManagement::AdjustExternalMemory(env, bytes_);
  }

  /// Throws DISPOSED after dispose().
  const T& get(Napi::Env env) const {
    if (!value_) {
      throw to_js(env, Error(ErrorCode::kDisposed, "The object was used after it was disposed"));
    }
    return *value_;
  }

  void Finalize(Napi::Env env) override { release(env); }

 protected:
  void release(Napi::Env env) {
    if (!value_) return;
    value_.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  }

 private:
  std::optional<T> value_;
  int64_t bytes_ = 0;
};

/// The native side of `value`, which must be an instance of `constructor`.
template <typename T>
T* unwrap(const Napi::Value& value, const Napi::FunctionReference& constructor, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(constructor.Value())) {
    throw to_js(value.Env(), Error(ErrorCode::kInvalidArgument,
                                   std::string("Expected a ") + name + " of this addon"));
  }
  return T::Unwrap(value.As<Napi::Object>());
}

}  // namespace voxpod::binding
