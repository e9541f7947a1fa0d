#include "template.hpp"

#include "template_ast.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <deque>

namespace corten::cli {

namespace tmpl {
namespace {

/// How Go prints a null whose type the JSON does not tell, by the member's name. docker's types
/// have a pointer, a map or (mostly) a list there.
const char* nil_text_of(std::string_view name) {
    constexpr std::string_view pointers[] = {
        "MemorySwappiness", "OomKillDisable", "PidsLimit", "Init",
        "IPAMConfig",       "Healthcheck",    "Health",    "StopTimeout",
        "ConfigFrom",       "UsageData",      "Platform"};
    constexpr std::string_view maps[] = {"Volumes", "Labels", "DriverOpts", "Options", "Config"};
    if (std::ranges::find(pointers, name) != std::end(pointers)) return "<nil>";
    if (std::ranges::find(maps, name) != std::end(maps)) return "map[]";
    return "[]";
}

const Json* member(const Json& object, const std::string& name) {
    if (const auto exact = object.find(name); exact != object.end()) return &*exact;
    for (const auto& [key, value] : object.items())
        if (equals_ignoring_case(key, name)) return &value;
    return nullptr;
}

enum class Flow { go_on, leave, next };

class Executor {
public:
    explicit Executor(const Json& data) : root_(&data) {}

    Result<std::string> run(const List& list) {
        variables_.push_back({"$", Value{.json = root_}});
        TRY(run_list(list, Value{.json = root_}));
        return std::move(out_);
    }

private:
    struct Variable {
        std::string name;
        Value value;
    };

    Error at(const Operand& operand, std::string_view what) const {
        return fail(ErrorKind::invalid, "template: :1:{}: executing \"\" at <{}>: {}",
                    operand.offset, operand.source, what);
    }

    const Json* keep(Json value) { return &store_.emplace_back(std::move(value)); }

    Result<Flow> run_list(const List& list, const Value& dot) {
        const std::size_t depth = variables_.size();
        Flow flow = Flow::go_on;
        for (const Node& node : list.nodes) {
            flow = TRY(run_node(node, dot));
            if (flow != Flow::go_on) break;
        }
        variables_.resize(depth);
        return flow;
    }

    Result<Flow> run_node(const Node& node, const Value& dot) {
        switch (node.kind) {
            case Node::text:
                out_ += node.content;
                return Flow::go_on;
            case Node::leave:
                return Flow::leave;
            case Node::next:
                return Flow::next;
            case Node::print:
                return run_print(node, dot);
            case Node::range:
                return run_range(node, dot);
            case Node::branch:
            case Node::with:
                return run_branch(node, dot);
        }
        return Flow::go_on;
    }

    Result<Flow> run_print(const Node& node, const Value& dot) {
        const Value value = TRY(evaluate(node.pipeline, dot));
        if (!node.pipeline.variables.empty()) {
            declare(node.pipeline, value);
            return Flow::go_on;
        }
        if (!value.present())
            return at(node.pipeline.calls.back().words[0],
                      fmt::format("map has no entry for key \"{}\"", value.missing));
        out_ += to_text(value);
        return Flow::go_on;
    }

    Result<Flow> run_branch(const Node& node, const Value& dot) {
        const std::size_t depth = variables_.size();
        const Value value = TRY(evaluate(node.pipeline, dot));
        declare(node.pipeline, value);
        const bool chosen = is_true(value);
        const Value& inner = chosen && node.kind == Node::with ? value : dot;
        const Flow flow = TRY(run_list(chosen ? node.body : node.otherwise, inner));
        variables_.resize(depth);
        return flow;
    }

    Result<Flow> run_range(const Node& node, const Value& dot) {
        const Value value = TRY(evaluate(node.pipeline, dot));
        if (!is_true(value)) return run_list(node.otherwise, dot);
        if (!value.json->is_structured())
            return at(node.pipeline.calls.back().words[0],
                      fmt::format("range can't iterate over {}", to_text(value)));
        for (const auto& [key, item] : sorted_items(*value.json)) {
            const Flow flow = TRY(run_item(node, key, item));
            if (flow == Flow::leave) break;
        }
        return Flow::go_on;
    }

    /// Maps are walked in the order of their keys, as Go does.
    std::vector<std::pair<const Json*, const Json*>> sorted_items(const Json& container) {
        std::vector<std::pair<const Json*, const Json*>> items;
        std::size_t index = 0;
        for (const auto& [key, item] : container.items())
            items.emplace_back(keep(container.is_array() ? Json(index++) : Json(key)), &item);
        if (container.is_object())
            std::ranges::sort(items,
                              [](const auto& a, const auto& b) { return *a.first < *b.first; });
        return items;
    }

    Result<Flow> run_item(const Node& node, const Json* key, const Json* item) {
        const std::size_t depth = variables_.size();
        const auto& names = node.pipeline.variables;
        if (names.size() == 2) variables_.push_back({names[0], Value{.json = key}});
        if (!names.empty()) variables_.push_back({names.back(), Value{.json = item}});
        const Flow flow = TRY(run_list(node.body, Value{.json = item}));
        variables_.resize(depth);
        return flow;
    }

    void declare(const Pipeline& pipeline, const Value& value) {
        if (pipeline.variables.empty()) return;
        const std::string& name = pipeline.variables.back();
        if (pipeline.assigns)
            for (auto entry = variables_.rbegin(); entry != variables_.rend(); ++entry)
                if (entry->name == name) {
                    entry->value = value;
                    return;
                }
        variables_.push_back({name, value});
    }

    Result<Value> evaluate(const Pipeline& pipeline, const Value& dot) {
        Value value;
        for (std::size_t i = 0; i < pipeline.calls.size(); ++i)
            value = TRY(evaluate_call(pipeline.calls[i], dot, i == 0 ? nullptr : &value));
        return value;
    }

    /// `piped` is what the call before gave: the last argument.
    Result<Value> evaluate_call(const Call& call, const Value& dot, const Value* piped) {
        const Operand& first = call.words[0];
        if (first.kind == Operand::function) return call_named(call, dot, piped);
        if (is_label_lookup(call)) return look_up_label(call, dot);
        if (call.words.size() > 1 || piped)
            return at(first, fmt::format("can't give argument to non-function {}", first.source));
        return evaluate_operand(first, dot);
    }

    static bool is_label_lookup(const Call& call) {
        return call.words.size() == 2 && call.words[0].kind == Operand::dot &&
               call.words[0].fields == std::vector<std::string>{"Label"};
    }
    Result<Value> look_up_label(const Call& call, const Value& dot) {
        const Value name = TRY(evaluate_operand(call.words[1], dot));
        const bool known = dot.json && dot.json->is_object() && dot.json->contains(labels_member);
        if (!known) return at(call.words[0], "can't evaluate field Label");
        const Json& labels = (*dot.json)[labels_member];
        const auto found = labels.find(to_text(name));
        return Value{.json = keep(found == labels.end() ? Json("") : *found)};
    }

    Result<Value> call_named(const Call& call, const Value& dot, const Value* piped) {
        const std::string& name = call.words[0].name;
        const bool lazy = name == "and" || name == "or";
        std::vector<Value> arguments;
        for (std::size_t i = 1; i < call.words.size(); ++i) {
            arguments.push_back(TRY(evaluate_operand(call.words[i], dot)));
            if (lazy && is_true(arguments.back()) == (name == "or")) return arguments.back();
        }
        if (piped) arguments.push_back(*piped);
        if (lazy && !arguments.empty()) return arguments.back();
        for (const Value& argument : arguments)
            if (!argument.present() && name != "not")
                return at(call.words[0],
                          fmt::format("map has no entry for key \"{}\"", argument.missing));
        auto result = call_function(name, arguments);
        if (!result)
            return at(call.words[0],
                      fmt::format("error calling {}: {}", name, result.error().message()));
        return Value{.json = keep(std::move(*result))};
    }

    Result<Value> evaluate_operand(const Operand& operand, const Value& dot) {
        Value value = TRY(evaluate_base(operand, dot));
        for (const std::string& name : operand.fields) {
            if (!value.present())
                return at(operand, fmt::format("map has no entry for key \"{}\"", value.missing));
            if (value.json->is_null())
                return at(operand, fmt::format("nil pointer evaluating .{}", name));
            if (!value.json->is_object())
                return at(operand, fmt::format("can't evaluate field {} in type {}", name,
                                               value.json->type_name()));
            value = Value{
                .json = member(*value.json, name), .nil_text = nil_text_of(name), .missing = name};
        }
        return value;
    }

    Result<Value> evaluate_base(const Operand& operand, const Value& dot) {
        switch (operand.kind) {
            case Operand::dot:
                return dot;
            case Operand::literal:
                return Value{.json = &operand.value};
            case Operand::group:
                return evaluate(*operand.inner, dot);
            case Operand::function: {
                const Call call{.words = {operand}};
                return call_named(call, dot, nullptr);
            }
            case Operand::variable:
                break;
        }
        for (auto entry = variables_.rbegin(); entry != variables_.rend(); ++entry)
            if (entry->name == operand.name) return entry->value;
        return fail(ErrorKind::invalid, "template: :1: undefined variable \"{}\"", operand.name);
    }

    const Json* root_;
    std::string out_;
    std::vector<Variable> variables_;
    std::deque<Json> store_;
};

}  // namespace
}  // namespace tmpl

Template::Template(std::unique_ptr<tmpl::List> root) : root_(std::move(root)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
    return Template(std::make_unique<tmpl::List>(TRY(tmpl::parse_template(text))));
}

Result<std::string> Template::execute(const Json& data) const {
    return tmpl::Executor(data).run(*root_);
}

Result<Template> parse_format(std::string_view format) {
    return Template::parse(format == "json" ? "{{json .}}" : format);
}

}  // namespace corten::cli
