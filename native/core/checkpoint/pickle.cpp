// Instructions as CPython's Lib/pickletools.py describes them; those of protocol 2, which
// torch.save() writes, and the ones that protocols 3 to 5 use for the same values.
#include "checkpoint/pickle.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "error.h"

namespace voxpod {
namespace {

using Kind = PickleValue::Kind;

// Names and shapes of 100,000 tensors take about as much.
constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr size_t kMaxValues = 2'000'000;
constexpr uint8_t kLastProtocol = 5;

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where, PickleHost& host)
      : bytes_(bytes), where_(where), host_(host) {}

  PickleTree run() {
    if (bytes_.size() > kMaxBytes) {
      stop("it has ", bytes_.size(), " bytes where ", kMaxBytes, " are the most");
    }
    while (step(number<uint8_t>())) {
    }
    tree_.root = pop();
    return std::move(tree_);
  }

 private:
  template <typename... Why>
  [[noreturn]] void stop(const Why&... why) const {
    fail(ErrorCode::kCheckpointCorrupt, where_, " holds a broken pickle: ", why..., ", at byte ",
         at_);
  }

  std::string_view text(uint64_t count) {
    if (count > bytes_.size() - at_) stop("it is cut short");
    const std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + at_, count);
    at_ += count;
    return out;
  }

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, text(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view line() {
    const void* end = std::memchr(bytes_.data() + at_, '\n', bytes_.size() - at_);
    if (!end) stop("a line does not end");
    const auto length =
        static_cast<size_t>(static_cast<const std::byte*>(end) - bytes_.data()) - at_;
    const std::string_view out = text(length);
    ++at_;
    return out;
  }

  void push(PickleValue value) {
    if (tree_.values.size() == kMaxValues) stop("it has more than ", kMaxValues, " values");
    stack_.push_back(&tree_.values.emplace_back(std::move(value)));
  }
  void push(Kind kind, int64_t integer = 0) { push({.kind = kind, .integer = integer}); }
  void push_text(uint64_t length) { push({.kind = Kind::kText, .text = text(length)}); }

  void need(size_t count) const {
    const size_t base = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - base < count) stop("its stack runs empty");
  }

  PickleValue* pop() {
    need(1);
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }

  std::vector<const PickleValue*> pop_items(size_t count) {
    need(count);
    std::vector<const PickleValue*> items(stack_.end() - static_cast<ptrdiff_t>(count),
                                          stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<const PickleValue*> pop_marked() {
    if (marks_.empty()) stop("a mark is missing");
    auto items = pop_items(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  void push_tuple(std::vector<const PickleValue*> items) {
    push({.kind = Kind::kTuple, .items = std::move(items)});
  }

  void extend(Kind kind, const std::vector<const PickleValue*>& items) {
    need(1);
    PickleValue& onto = *stack_.back();
    if (onto.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) {
      stop("items come without their container");
    }
    onto.items.insert(onto.items.end(), items.begin(), items.end());
  }

  void remember(uint32_t place) {
    need(1);
    memo_[place] = stack_.back();
  }

  void recall(uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) stop("it refers to what is not there");
    stack_.push_back(found->second);
  }

  /// A little-endian number in two's complement.
  void push_long(size_t length) {
    const std::string_view digits = text(length);
    if (length > sizeof(int64_t)) return push(Kind::kFloat);
    uint64_t value = 0;
    std::memcpy(&value, digits.data(), length);
    const bool negative = length > 0 && (static_cast<uint8_t>(digits.back()) & 0x80) != 0;
    if (negative && length < sizeof(value)) value |= ~uint64_t{0} << (8 * length);
    push(Kind::kInteger, static_cast<int64_t>(value));
  }

  /// Carries one instruction out; false behind the last.
  bool step(uint8_t instruction) {
    switch (instruction) {
      case 0x80:  // PROTO
        if (number<uint8_t>() > kLastProtocol) stop("its protocol is unknown");
        break;
      case 0x95:  // FRAME
        number<uint64_t>();
        break;
      case '.':  // STOP
        return false;
      case '(':  // MARK
        marks_.push_back(stack_.size());
        break;
      case 'N':  // NONE
        push(Kind::kNone);
        break;
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        push(Kind::kBool, instruction == 0x88);
        break;
      case 'K':  // BININT1
        push(Kind::kInteger, number<uint8_t>());
        break;
      case 'M':  // BININT2
        push(Kind::kInteger, number<uint16_t>());
        break;
      case 'J':  // BININT
        push(Kind::kInteger, number<int32_t>());
        break;
      case 0x8a:  // LONG1
        push_long(number<uint8_t>());
        break;
      case 'G':  // BINFLOAT
        number<uint64_t>();
        push(Kind::kFloat);
        break;
      case 'X':  // BINUNICODE
        push_text(number<uint32_t>());
        break;
      case 0x8c:  // SHORT_BINUNICODE
        push_text(number<uint8_t>());
        break;
      case 0x8d:  // BINUNICODE8
        push_text(number<uint64_t>());
        break;
      case ')':  // EMPTY_TUPLE
        push(Kind::kTuple);
        break;
      case ']':  // EMPTY_LIST
        push(Kind::kList);
        break;
      case '}':  // EMPTY_DICT
        push(Kind::kDict);
        break;
      case 't':  // TUPLE
        push_tuple(pop_marked());
        break;
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        push_tuple(pop_items(instruction - 0x84));
        break;
      case 'a':  // APPEND
        extend(Kind::kList, pop_items(1));
        break;
      case 'e':  // APPENDS
        extend(Kind::kList, pop_marked());
        break;
      case 's':  // SETITEM
        extend(Kind::kDict, pop_items(2));
        break;
      case 'u':  // SETITEMS
        extend(Kind::kDict, pop_marked());
        break;
      case 'q':  // BINPUT
        remember(number<uint8_t>());
        break;
      case 'r':  // LONG_BINPUT
        remember(number<uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        remember(static_cast<uint32_t>(memo_.size()));
        break;
      case 'h':  // BINGET
        recall(number<uint8_t>());
        break;
      case 'j':  // LONG_BINGET
        recall(number<uint32_t>());
        break;
      case 'c': {  // GLOBAL
        const std::string_view module = line();
        push(host_.global(module, line()));
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const auto names = pop_items(2);
        push(host_.global(names[0]->text, names[1]->text));
        break;
      }
      case 'Q':  // BINPERSID
        push(host_.persistent(*pop()));
        break;
      case 'R': {  // REDUCE
        const auto call = pop_items(2);
        push(host_.call(*call[0], *call[1]));
        break;
      }
      case 'b': {  // BUILD
        const PickleValue* state = pop();
        need(1);
        host_.set_state(*stack_.back(), *state);
        break;
      }
      default:
        fail(ErrorCode::kModelInvalid, where_, " holds instruction ", int{instruction},
             " of Python's pickles at byte ", at_ - 1, ", which no file of plain tensors needs");
    }
    return true;
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  const std::string& where_;
  PickleHost& host_;
  PickleTree tree_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  ///< sizes of the stack
  std::unordered_map<uint32_t, PickleValue*> memo_;
};

}  // namespace

std::span<const PickleValue* const> PickleValue::sequence(size_t count) const {
  if ((kind != Kind::kTuple && kind != Kind::kList) || items.size() != count) return {};
  return items;
}

PickleTree read_pickle(std::span<const std::byte> bytes, const std::string& where,
                       PickleHost& host) {
  return Machine(bytes, where, host).run();
}

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string out(text.substr(0, kLongest));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kLongest ? out + "..." : out;
}

}  // namespace voxpod
