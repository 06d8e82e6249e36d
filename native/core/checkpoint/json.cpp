#include "checkpoint/json.h"

#include <charconv>
#include <cmath>

#include "error.h"

namespace voxpod {

/// Recursive descent over RFC 8259, with a bound on the depth since files are not trusted.
class JsonParser {
 public:
  JsonParser(std::string_view text, const std::string& what) : text_(text), what_(what) {}

  Json document() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) stop("unexpected text behind the value");
    return value;
  }

 private:
  static constexpr int kMaxDepth = 64;

  [[noreturn]] void stop(const char* why) const {
    fail(ErrorCode::kCheckpointCorrupt, what_, " is no valid JSON: ", why, " at byte ", at_);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  char peek() {
    skip_space();
    if (at_ == text_.size()) stop("the text ends early");
    return text_[at_];
  }

  void expect(char c) {
    if (peek() != c) stop("unexpected character");
    ++at_;
  }

  bool literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) stop("nested too deeply");
    Json json;
    const char c = peek();
    if (c == '{') {
      json.value_ = parse_object(depth);
    } else if (c == '[') {
      json.value_ = parse_array(depth);
    } else if (c == '"') {
      json.value_ = parse_string();
    } else if (literal("true")) {
      json.value_ = true;
    } else if (literal("false")) {
      json.value_ = false;
    } else if (literal("null")) {
      json.value_ = nullptr;
    } else {
      json.value_ = parse_number();
    }
    return json;
  }

  Json::Object parse_object(int depth) {
    Json::Object members;
    expect('{');
    if (peek() == '}') {
      ++at_;
      return members;
    }
    while (true) {
      if (peek() != '"') stop("a name was expected");
      std::string name = parse_string();
      expect(':');
      Json value = parse_value(depth + 1);
      if (!members.emplace(std::move(name), std::move(value)).second) stop("a name stands twice");
      if (peek() == '}') break;
      expect(',');
    }
    ++at_;
    return members;
  }

  Json::Array parse_array(int depth) {
    Json::Array items;
    expect('[');
    if (peek() == ']') {
      ++at_;
      return items;
    }
    while (true) {
      items.push_back(parse_value(depth + 1));
      if (peek() == ']') break;
      expect(',');
    }
    ++at_;
    return items;
  }

  double parse_number() {
    double value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || !std::isfinite(value)) stop("a value was expected");
    at_ += static_cast<size_t>(end - begin);
    return value;
  }

  unsigned parse_hex4() {
    unsigned unit = 0;
    const char* begin = text_.data() + at_;
    if (text_.size() - at_ < 4) stop("the text ends early");
    const auto [end, error] = std::from_chars(begin, begin + 4, unit, 16);
    if (error != std::errc() || end != begin + 4) stop("bad \\u escape");
    at_ += 4;
    return unit;
  }

  static void append_utf8(std::string& out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      out += static_cast<char>(0xF0 | code >> 18);
      out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    while (true) {
      if (at_ == text_.size()) stop("a string does not end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) stop("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ == text_.size()) stop("a string does not end");
      parse_escape(out);
    }
  }

  void parse_escape(std::string& out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char c = text_[at_++];
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
      return;
    }
    if (c != 'u') stop("bad escape");
    unsigned code = parse_hex4();
    if (code >= 0xD800 && code < 0xDC00) {  // a surrogate pair
      if (!literal("\\u")) stop("half a surrogate pair");
      const unsigned low = parse_hex4();
      if (low < 0xDC00 || low > 0xDFFF) stop("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, code);
  }

  std::string_view text_;
  const std::string& what_;
  size_t at_ = 0;
};

Json Json::parse(std::string_view text, const std::string& what) {
  return JsonParser(text, what).document();
}

const Json* Json::find(std::string_view name) const {
  const Object* members = object();
  if (!members) return nullptr;
  const auto it = members->find(name);
  return it == members->end() ? nullptr : &it->second;
}

bool Json::to_integer(int64_t& out) const {
  const double* value = number();
  if (!value || *value < 0 || *value >= 9007199254740992.0 || *value != std::floor(*value)) {
    return false;
  }
  out = static_cast<int64_t>(*value);
  return true;
}

}  // namespace voxpod
