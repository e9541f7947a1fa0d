// logs, top, port, diff: what a container says and shows.
#include "../session.hpp"
#include "../table.hpp"
#include "../verbs.hpp"

#include <base/clock.hpp>
#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

/// "10m" is ten minutes ago; RFC 3339 and unix times are themselves. Gives unix seconds.nanos.
Result<std::string> point_in_time(const std::string& text) {
    if (const auto ago = parse_duration(text, "duration")) {
        const auto at = now() - *ago;
        const auto nanos = unix_nanoseconds(at);
        return fmt::format("{}.{:09}", nanos / 1'000'000'000, nanos % 1'000'000'000);
    }
    if (parse_unix_time(text, "time")) return text;
    for (const std::string_view suffix : {"", "Z", ":00Z", "T00:00:00Z"})
        if (const auto at = parse_rfc3339(text + std::string(suffix))) {
            const auto nanos = unix_nanoseconds(*at);
            return fmt::format("{}.{:09}", nanos / 1'000'000'000, nanos % 1'000'000'000);
        }
    return fail(ErrorKind::invalid, "failed to parse value as time or duration: \"{}\"", text);
}

Result<http::Query> log_query(const FlagValues& flags) {
    http::Query query;
    if (flags.on("details")) query.add("details", "1");
    if (flags.on("follow")) query.add("follow", "1");
    if (flags.given("since")) query.add("since", TRY(point_in_time(flags.text("since"))));
    query.add("stderr", "1");
    query.add("stdout", "1");
    query.add("tail", flags.text("tail"));
    if (flags.on("timestamps")) query.add("timestamps", "1");
    if (flags.given("until")) query.add("until", TRY(point_in_time(flags.text("until"))));
    return query;
}

Result<void> copy_output(Reply& reply, bool tty) {
    std::vector<char> buffer(128 << 10);
    Demultiplexer demultiplexer;
    while (true) {
        const std::size_t count = TRY(reply.read(buffer));
        if (count == 0) return {};
        const std::string_view bytes(buffer.data(), count);
        if (tty)
            TRY(write_output(1, bytes));
        else
            TRY(demultiplexer.take(bytes, write_output));
    }
}

std::string binding_text(const Json& binding) {
    const std::string ip = binding.value("HostIp", "");
    const std::string port = binding.value("HostPort", "");
    return ip.find(':') == ip.npos ? ip + ":" + port : "[" + ip + "]:" + port;
}

/// Ports in the order of their numbers.
std::vector<std::pair<std::string, const Json*>> sorted_ports(const Json& ports) {
    std::vector<std::pair<std::string, const Json*>> out;
    for (const auto& [key, bindings] : ports.items()) out.emplace_back(key, &bindings);
    std::ranges::sort(out, {}, [](const auto& entry) {
        return std::pair(std::stoi("0" + entry.first.substr(0, entry.first.find('/'))),
                         entry.first);
    });
    return out;
}

}  // namespace

Result<std::string> time_parameter(const std::string& text) {
    return point_in_time(text);
}

Result<int> verb_logs(Context& context, const ParsedLine& line) {
    const http::Query query = TRY(log_query(line.flags));
    Client& client = *TRY(context.client());
    const std::string path = "/containers/" + escape(line.arguments[0]);
    const Json inspect = TRY(client.get(path + "/json"));
    Reply reply = TRY(client.open({.path = path + "/logs", .query = query}));
    TRY(copy_output(reply, inspect["Config"].value("Tty", false)));
    return 0;
}

Result<int> verb_top(Context& context, const ParsedLine& line) {
    http::Query query;
    const std::vector<std::string> options(line.arguments.begin() + 1, line.arguments.end());
    if (!options.empty()) query.add("ps_args", join(options, " "));
    const std::string path = "/containers/" + escape(line.arguments[0]) + "/top";
    const Json reply = TRY(TRY(context.client())->get(path, query));
    std::string rows;
    const auto add_row = [&rows](const Json& cells) {
        std::vector<std::string> texts;
        for (const Json& cell : cells) texts.push_back(cell.get<std::string>());
        rows += join(texts, "\t") + "\n";
    };
    add_row(reply["Titles"]);
    for (const Json& process : reply["Processes"]) add_row(process);
    constexpr std::size_t least_width = 20;  // as docker's columns here
    print(align_columns(rows, least_width));
    return 0;
}

Result<int> verb_port(Context& context, const ParsedLine& line) {
    const std::string& name = line.arguments[0];
    const Json inspect = TRY(TRY(context.client())->get("/containers/" + escape(name) + "/json"));
    const Json& ports = inspect["NetworkSettings"]["Ports"];
    if (line.arguments.size() == 1) {
        for (const auto& [key, bindings] : sorted_ports(ports))
            if (bindings->is_array())
                for (const Json& binding : *bindings)
                    print_line(fmt::format("{} -> {}", key, binding_text(binding)));
        return 0;
    }
    std::string wanted = line.arguments[1];
    if (wanted.find('/') == wanted.npos) wanted += "/tcp";
    if (!ports.is_object() || !ports.contains(wanted) || !ports[wanted].is_array())
        return fail(ErrorKind::not_found, "no public port '{}' published for {}", line.arguments[1],
                    name);
    for (const Json& binding : ports[wanted]) print_line(binding_text(binding));
    return 0;
}

Result<int> verb_diff(Context& context, const ParsedLine& line) {
    const Json changes =
        TRY(TRY(context.client())->get("/containers/" + escape(line.arguments[0]) + "/changes"));
    constexpr std::string_view letters = "CAD";
    for (const Json& change : changes) {
        const auto kind = change.value("Kind", std::size_t{0});
        print_line(fmt::format("{} {}", letters[std::min<std::size_t>(kind, 2)],
                               change.value("Path", "")));
    }
    return 0;
}

}  // namespace corten::cli
