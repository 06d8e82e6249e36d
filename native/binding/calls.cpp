#include "calls.h"

#include <algorithm>
#include <thread>

namespace voxpod::binding {

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error out = Napi::Error::New(env, error.what());
  out.Set("code", Napi::String::New(env, code_name(error.code())));
  return out;
}

Napi::Float32Array to_array(Napi::Env env, std::span<const float> numbers) {
  auto out = Napi::Float32Array::New(env, numbers.size());
  std::copy(numbers.begin(), numbers.end(), out.Data());
  return out;
}

Calls::Calls(Napi::Env env)
    : loop_(Napi::ThreadSafeFunction::New(env, Napi::Function(), "voxpod", 0, 1)) {
  loop_.Unref(env);  // only pending calls keep the process alive
}

int64_t Calls::open(Napi::Env env, const std::vector<Napi::Value>& keep) {
  if (pending_.empty()) loop_.Ref(env);
  const int64_t id = next_++;
  Pending& call =
      pending_.emplace(id, Pending{Napi::Promise::Deferred::New(env), {}}).first->second;
  for (const Napi::Value& value : keep)
    call.keep.push_back(Napi::Persistent(value.As<Napi::Object>()));
  return id;
}

void Calls::settle(Napi::Env env, int64_t id, const std::function<Napi::Value(Napi::Env)>& make) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return;
  Pending call = std::move(it->second);
  pending_.erase(it);
  if (pending_.empty()) loop_.Unref(env);
  try {
    call.deferred.Resolve(make(env));
  } catch (const Napi::Error& error) {
    call.deferred.Reject(error.Value());
  } catch (...) {
    call.deferred.Reject(to_js(env, current_error()).Value());
  }
}

std::function<void(double)> Calls::progress(const Napi::Value& value) {
  if (!value.IsFunction()) return nullptr;
  auto* reference = new Napi::FunctionReference(Napi::Persistent(value.As<Napi::Function>()));
  // The reference is dropped on Node's thread, whoever lets go of it last.
  const std::shared_ptr<Napi::FunctionReference> shared(
      reference, [self = shared_from_this()](Napi::FunctionReference* last) {
        self->post([last](Napi::Env) { delete last; });
      });
  return [shared, self = shared_from_this(), shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100);
    if (percent == shown) return;
    shown = percent;
    self->post(
        [shared, fraction](Napi::Env env) { shared->Call({Napi::Number::New(env, fraction)}); });
  };
}

void Calls::post(std::function<void(Napi::Env)> task) {
  auto* owned = new std::function<void(Napi::Env)>(std::move(task));
  const napi_status status = loop_.NonBlockingCall(
      owned, [](Napi::Env env, Napi::Function, std::function<void(Napi::Env)>* data) {
        const std::unique_ptr<std::function<void(Napi::Env)>> run(data);
        if (env != nullptr) (*run)(env);
      });
  if (status != napi_ok) delete owned;
}

void Calls::spawn(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  std::thread([self = shared_from_this(), work = std::move(work)] {
    work();
    const std::lock_guard lock(self->mutex_);
    --self->running_;
    self->idle_.notify_all();
  }).detach();
}

void Calls::close() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return running_ == 0; });
}

}  // namespace voxpod::binding
