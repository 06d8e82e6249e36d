#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace voxpod {

/// A value out of a pickle. Containers may hold themselves.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInteger,
    kFloat,  ///< also an integer beyond 64 bits; its value is not kept
    kText,
    kTuple,
    kList,
    kDict,
    kHost,  ///< what a PickleHost made; `integer` is the host's own number for it
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  std::string_view text = {};                  ///< in the pickle's own bytes
  std::vector<const PickleValue*> items = {};  ///< of a dict each key and then its value

  /// The items of a tuple or list of `count` of them, else nothing.
  std::span<const PickleValue* const> sequence(size_t count) const;
};

/// Says what a pickle may name and what becomes of it. All of them throw for what they refuse.
class PickleHost {
 public:
  virtual ~PickleHost() = default;
  virtual PickleValue global(std::string_view module, std::string_view name) = 0;
  virtual PickleValue persistent(const PickleValue& id) = 0;
  /// A call with a tuple of arguments.
  virtual PickleValue call(const PickleValue& callee, const PickleValue& arguments) = 0;
  /// Attributes that are set on an object.
  virtual void set_state(const PickleValue& object, const PickleValue& state) = 0;
};

struct PickleTree {
  std::deque<PickleValue> values = {};
  const PickleValue* root = nullptr;
};

/// Reads a pickle as data: of Python's machine for pickles it has the instructions that make plain
/// values, and leaves every name and call to the host, so that nothing in a file is run. Time and
/// memory are bounded by the pickle's length, and that by 16 MiB. Throws kCheckpointCorrupt, naming
/// `where`, for what is no whole pickle or too large, and kModelInvalid for any other instruction.
/// The bytes must outlive the tree.
PickleTree read_pickle(std::span<const std::byte> bytes, const std::string& where,
                       PickleHost& host);

/// Text out of a file for a message: its first 80 bytes, what is not printable as '?'.
std::string printable(std::string_view text);

}  // namespace voxpod
