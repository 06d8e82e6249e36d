// Opens libtorch before the main addon, which names it as needed, is loaded: its place is known
// only at run time, and a library already open satisfies the linker whatever its folder. Plain C
// Node-API, and linked to nothing but libdl, so that it loads everywhere and can say what is wrong.
#include <dlfcn.h>
#include <node_api.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

// The pending exception stays what it is when Node-API itself raised one.
napi_value fail(napi_env env, const std::string& message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, message.c_str());
  return nullptr;
}

bool to_string(napi_env env, napi_value value, std::string* text) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  text->resize(length + 1);
  if (napi_get_value_string_utf8(env, value, text->data(), length + 1, &length) != napi_ok) {
    return false;
  }
  text->resize(length);
  return true;
}

bool ends_with(const std::string& text, const char* end) {
  const size_t length = std::strlen(end);
  return text.size() >= length && text.compare(text.size() - length, length, end) == 0;
}

// open(libraries: string[]): string
napi_value open_libraries(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value paths;
  bool is_array = false;
  uint32_t count = 0;
  if (napi_get_cb_info(env, info, &argc, &paths, nullptr, nullptr) != napi_ok || argc < 1 ||
      napi_is_array(env, paths, &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, paths, &count) != napi_ok) {
    return fail(env, "Expected an array of paths for libraries");
  }
  void* torch = nullptr;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value element;
    std::string path;
    if (napi_get_element(env, paths, i, &element) != napi_ok || !to_string(env, element, &path)) {
      return fail(env, "Expected an array of paths for libraries");
    }
    // Never closed: libtorch does not survive it.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      return fail(env, reason != nullptr ? reason : path + " cannot be opened");
    }
    if (ends_with(path, "/libtorch_cpu.so")) torch = library;
  }
  if (torch == nullptr) return fail(env, "libtorch_cpu.so is not among the libraries");
  // Declared in torch/csrc/inductor/aoti_torch/c/shim.h: major, minor and patch in the top bytes.
  void* symbol = dlsym(torch, "aoti_torch_abi_version");
  if (symbol == nullptr) return fail(env, "libtorch_cpu.so has no aoti_torch_abi_version");
  uint64_t (*abi_version)() = nullptr;
  std::memcpy(&abi_version, &symbol, sizeof symbol);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, abi_version());
  napi_value result;
  if (napi_create_string_utf8(env, digits, 16, &result) != napi_ok) return fail(env, "No memory");
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value open;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_libraries, nullptr, &open) !=
          napi_ok ||
      napi_set_named_property(env, exports, "open", open) != napi_ok) {
    return fail(env, "The loader cannot be set up");
  }
  return exports;
}
