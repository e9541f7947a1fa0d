#pragma once
// The parsed form of a template. Private to template*.cpp.
#include <base/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace corten::cli::tmpl {

struct Pipeline;

/// A value's source: what stands between spaces.
struct Operand {
    enum Kind { dot, variable, literal, function, group } kind = dot;
    std::string name;                 ///< of a variable or function
    Json value;                       ///< of a literal
    std::shared_ptr<Pipeline> inner;  ///< of a parenthesis
    std::vector<std::string> fields;  ///< .A.B after it
    std::size_t offset = 0;           ///< where it stands, for errors
    std::string source;               ///< as written, for errors
};

struct Call {
    std::vector<Operand> words;  ///< the first may be a function
};

struct Pipeline {
    std::vector<std::string> variables;  ///< declared or assigned: $i, $v
    bool assigns = false;                ///< "=" and not ":="
    std::vector<Call> calls;
};

struct Node;
struct List {
    std::vector<Node> nodes;
};

struct Node {
    enum Kind { text, print, branch, with, range, leave, next } kind = text;
    std::string content;  ///< of text
    Pipeline pipeline;
    List body;
    List otherwise;
};

/// The template's tree, or an error worded as Go's.
Result<List> parse_template(std::string_view text);

/// Values during execution: pointers into the data or into the executor's store. Null is "there is
/// no such member"; `nil_text` is how Go prints the null that is there.
struct Value {
    const Json* json = nullptr;
    const char* nil_text = "<no value>";
    std::string missing;  ///< the name that was not found

    bool present() const { return json != nullptr; }
};

bool is_true(const Value& value);
std::string to_text(const Value& value);
bool is_function(std::string_view name);
/// `and`, `or` are not here: they do not evaluate all of their arguments.
Result<Json> call_function(const std::string& name, const std::vector<Value>& arguments);

}  // namespace corten::cli::tmpl
