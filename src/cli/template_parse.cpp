#include "template_ast.hpp"

#include <base/text.hpp>

#include <cctype>
#include <charconv>

namespace corten::cli::tmpl {

namespace {

bool is_name_start(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool is_name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<List> run() {
        List list;
        const std::string end = TRY(read_list(list));
        if (!end.empty()) return error(fmt::format("unexpected {{{{{}}}}}", end));
        return list;
    }

private:
    Error error(std::string_view what) const {
        std::size_t line = 1;
        for (const char c : text_.substr(0, at_)) line += c == '\n';
        return fail(ErrorKind::invalid, "template: :{}: {}", line, what);
    }

    /// Reads nodes up to {{end}} or {{else ...}}, which is returned; "" at the end of the text.
    Result<std::string> read_list(List& list) {
        while (at_ < text_.size()) {
            const auto open = text_.find("{{", at_);
            add_text(list, text_.substr(at_, open == text_.npos ? text_.npos : open - at_), open);
            if (open == text_.npos) {
                at_ = text_.size();
                break;
            }
            at_ = open + 2;
            if (text_.substr(at_).starts_with("- ")) at_ += 2;
            if (text_.substr(at_).starts_with("/*")) {
                TRY(skip_comment());
                continue;
            }
            std::string stop = TRY(read_action(list));
            if (!stop.empty()) return stop;
        }
        return std::string();
    }

    /// Adds literal text, without the white space that "{{- " or " -}}" beside it takes away.
    void add_text(List& list, std::string_view raw, std::size_t open) {
        if (trim_next_)
            while (!raw.empty() && std::isspace(static_cast<unsigned char>(raw.front())))
                raw.remove_prefix(1);
        trim_next_ = false;
        if (open != text_.npos && text_.substr(open).starts_with("{{- "))
            while (!raw.empty() && std::isspace(static_cast<unsigned char>(raw.back())))
                raw.remove_suffix(1);
        if (raw.empty()) return;
        list.nodes.push_back({.kind = Node::text, .content = std::string(raw)});
    }

    Result<void> skip_comment() {
        const auto end = text_.find("*/", at_);
        if (end == text_.npos) return error("unclosed comment");
        at_ = end + 2;
        return close();
    }

    void skip_space() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    }
    bool at_close() const {
        return text_.substr(at_).starts_with("}}") || text_.substr(at_).starts_with("-}}");
    }
    Result<void> close() {
        skip_space();
        if (text_.substr(at_).starts_with("-}}")) {
            trim_next_ = true;
            at_ += 3;
            return {};
        }
        if (!text_.substr(at_).starts_with("}}")) return error("unclosed action");
        at_ += 2;
        return {};
    }

    std::string peek_word() {
        skip_space();
        std::size_t end = at_;
        while (end < text_.size() && is_name_char(text_[end])) ++end;
        return std::string(text_.substr(at_, end - at_));
    }

    /// One {{...}}; gives "end" or "else" when it ends the list.
    Result<std::string> read_action(List& list) {
        std::string word = peek_word();
        if (word == "end" || word == "else") {
            at_ += word.size();
            if (word == "end") TRY(close());
            return word;
        }
        if (word == "if" || word == "with" || word == "range") {
            at_ += word.size();
            list.nodes.push_back(TRY(read_block(word)));
            return std::string();
        }
        if (word == "break" || word == "continue") {
            at_ += word.size();
            TRY(close());
            list.nodes.push_back({.kind = word == "break" ? Node::leave : Node::next});
            return std::string();
        }
        Node node{.kind = Node::print};
        node.pipeline = TRY(read_pipeline());
        TRY(close());
        list.nodes.push_back(std::move(node));
        return std::string();
    }

    Result<Node> read_block(const std::string& word) {
        Node node;
        node.kind = word == "if" ? Node::branch : word == "with" ? Node::with : Node::range;
        node.pipeline = TRY(read_pipeline());
        TRY(close());
        std::string stop = TRY(read_list(node.body));
        if (stop == "else") {
            const std::string again = peek_word();
            if (again == word && word != "range") {  // {{else if ...}} shares the {{end}}
                at_ += again.size();
                node.otherwise.nodes.push_back(TRY(read_block(word)));
                return node;
            }
            TRY(close());
            stop = TRY(read_list(node.otherwise));
        }
        if (stop != "end") return error("unexpected EOF");
        return node;
    }

    Result<Pipeline> read_pipeline() {
        Pipeline pipeline;
        TRY(read_declarations(pipeline));
        while (true) {
            Call call;
            while (true) {
                skip_space();
                if (at_ >= text_.size()) return error("unclosed action");
                if (at_close() || text_[at_] == '|' || text_[at_] == ')') break;
                call.words.push_back(TRY(read_operand()));
            }
            if (call.words.empty()) return error("missing value for command");
            pipeline.calls.push_back(std::move(call));
            if (text_[at_] != '|') return pipeline;
            ++at_;
        }
    }

    /// "$v :=", "$i, $v :=", "$v =" in front of a pipeline.
    Result<void> read_declarations(Pipeline& pipeline) {
        const std::size_t start = at_;
        std::vector<std::string> names;
        skip_space();
        while (at_ < text_.size() && text_[at_] == '$') {
            names.push_back(read_variable());
            skip_space();
            const bool more = at_ < text_.size() && text_[at_] == ',';
            if (!more) break;
            ++at_;
            skip_space();
        }
        const std::string_view rest = text_.substr(at_);
        if (!names.empty() && (rest.starts_with(":=") || rest.starts_with("="))) {
            pipeline.assigns = rest[0] == '=';
            pipeline.variables = std::move(names);
            at_ += pipeline.assigns ? 1 : 2;
        } else {
            at_ = start;
        }
        return {};
    }

    std::string read_variable() {
        const std::size_t start = at_++;
        while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
        return std::string(text_.substr(start, at_ - start));
    }

    Result<Operand> read_operand() {
        Operand operand;
        operand.offset = at_;
        const char c = text_[at_];
        if (c == '.') {
            operand.kind = Operand::dot;
            const bool field = at_ + 1 < text_.size() && is_name_start(text_[at_ + 1]);
            if (!field) ++at_;
        } else if (c == '$') {
            operand.kind = Operand::variable;
            operand.name = read_variable();
        } else if (c == '(') {
            ++at_;
            operand.kind = Operand::group;
            operand.inner = std::make_shared<Pipeline>(TRY(read_pipeline()));
            if (at_ >= text_.size() || text_[at_] != ')') return error("unclosed left paren");
            ++at_;
        } else if (c == '"' || c == '`') {
            operand.kind = Operand::literal;
            operand.value = TRY(read_string(c));
        } else if (std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '+') {
            operand.kind = Operand::literal;
            operand.value = TRY(read_number());
        } else if (is_name_start(c)) {
            TRY(read_identifier(operand));
        } else {
            return error(fmt::format("unexpected {:?} in command", std::string(1, c)));
        }
        read_fields(operand);
        operand.source = std::string(text_.substr(operand.offset, at_ - operand.offset));
        return operand;
    }

    void read_fields(Operand& operand) {
        while (at_ + 1 < text_.size() && text_[at_] == '.' && is_name_start(text_[at_ + 1])) {
            const std::size_t start = ++at_;
            while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
            operand.fields.emplace_back(text_.substr(start, at_ - start));
        }
    }

    Result<void> read_identifier(Operand& operand) {
        operand.name = peek_word();
        at_ += operand.name.size();
        operand.kind = Operand::literal;
        if (operand.name == "true" || operand.name == "false")
            operand.value = operand.name == "true";
        else if (operand.name == "nil")
            operand.value = nullptr;
        else if (is_function(operand.name))
            operand.kind = Operand::function;
        else
            return error(fmt::format("function \"{}\" not defined", operand.name));
        return {};
    }

    Result<Json> read_string(char quote) {
        std::string out;
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == quote) {
                ++at_;
                return Json(out);
            }
            if (text_[at_] == '\\' && quote == '"' && at_ + 1 < text_.size())
                out += escape(text_[++at_]);
            else
                out += text_[at_];
        }
        return error("unterminated quoted string");
    }
    static char escape(char c) {
        switch (c) {
            case 'n':
                return '\n';
            case 't':
                return '\t';
            case 'r':
                return '\r';
            default:
                return c;
        }
    }

    Result<Json> read_number() {
        std::size_t end = at_ + 1;
        while (end < text_.size() && (is_name_char(text_[end]) || text_[end] == '.')) ++end;
        const std::string word(text_.substr(at_, end - at_));
        const char* first = word.data() + (word[0] == '+' ? 1 : 0);
        std::int64_t whole = 0;
        double real = 0;
        const char* last = word.data() + word.size();
        if (std::from_chars(first, last, whole).ptr == last) {
            at_ = end;
            return Json(whole);
        }
        if (std::from_chars(first, last, real).ptr == last) {
            at_ = end;
            return Json(real);
        }
        return error(fmt::format("bad number syntax: \"{}\"", word));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool trim_next_ = false;
};

}  // namespace

Result<List> parse_template(std::string_view text) {
    return Parser(text).run();
}

}  // namespace corten::cli::tmpl
