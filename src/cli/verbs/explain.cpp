// The host and the inside of one container in one view. The daemon gathers it
// (GET /corten/containers/{id}/explain); here it is laid out for a person.
#include "../verbs.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <array>

namespace corten::cli {

namespace {

/// Lines of a tree. Items are added depth first; the branches are drawn when it is finished.
class Tree {
public:
    void add(std::size_t depth, std::string text) { lines_.push_back({depth, std::move(text)}); }

    std::string draw() const {
        std::string out;
        for (std::size_t i = 0; i < lines_.size(); ++i) out += prefix(i) + lines_[i].text + "\n";
        return out;
    }

private:
    struct Line {
        std::size_t depth;
        std::string text;
    };

    /// True when another line of this depth follows before a shallower one.
    bool goes_on(std::size_t after, std::size_t depth) const {
        for (std::size_t i = after + 1; i < lines_.size() && lines_[i].depth >= depth; ++i)
            if (lines_[i].depth == depth) return true;
        return false;
    }
    std::string prefix(std::size_t line) const {
        std::string out;
        const std::size_t depth = lines_[line].depth;
        for (std::size_t level = 1; level <= depth; ++level) {
            const bool more = goes_on(line, level);
            if (level == depth)
                out += more ? "├─ " : "└─ ";
            else
                out += more ? "│  " : "   ";
        }
        return out;
    }

    std::vector<Line> lines_;
};

const Json& at(const Json& object, const char* name) {
    static const Json none;
    const auto found = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && found != object.end() ? *found : none;
}
std::string text(const Json& object, const char* name) {
    const Json& value = at(object, name);
    if (value.is_string()) return value.get<std::string>();
    return value.is_null() ? "" : value.dump();
}
std::int64_t number(const Json& object, const char* name) {
    const Json& value = at(object, name);
    return value.is_number() ? value.get<std::int64_t>() : 0;
}
std::string bytes(std::int64_t count) {
    return human_size_binary(static_cast<double>(count));
}

std::string join_strings(const Json& list, std::string_view separator) {
    std::vector<std::string> parts;
    if (list.is_array())
        for (const Json& entry : list)
            parts.push_back(entry.is_string() ? entry.get<std::string>() : entry.dump());
    return join(parts, separator);
}

void container(Tree& tree, const Json& all) {
    const Json& section = at(all, "Container");
    tree.add(0, fmt::format("{}  {}  {}", text(section, "Name"), text(section, "Id").substr(0, 12),
                            text(section, "Status")));
    tree.add(1, fmt::format("image {}  {}", text(section, "Image"), text(section, "ImageId")));
}

std::string interface_line(const Json& interface) {
    std::string out = text(interface, "Name");
    const std::string addresses = join_strings(at(interface, "Addresses"), ", ");
    if (!addresses.empty()) out += "  " + addresses;
    if (!text(interface, "Mac").empty()) out += "  mac " + text(interface, "Mac");
    if (number(interface, "Mtu") > 0) out += fmt::format("  mtu {}", number(interface, "Mtu"));
    if (!text(interface, "Master").empty()) out += "  on bridge " + text(interface, "Master");
    if (at(interface, "Up") == false) out += "  DOWN";
    return out;
}

void port(Tree& tree, const Json& entry) {
    tree.add(3, fmt::format("port {}:{} -> {}/{}", text(entry, "HostIp"), number(entry, "HostPort"),
                            number(entry, "ContainerPort"), text(entry, "Protocol")));
}

void endpoint(Tree& tree, const Json& entry) {
    tree.add(2, fmt::format("{}  {}/{} via {}", text(entry, "NetworkName"), text(entry, "Ip"),
                            text(entry, "Prefix"), text(entry, "Gateway")));
    const Json& report = at(entry, "Report");
    if (!text(entry, "Error").empty()) tree.add(3, "not readable: " + text(entry, "Error"));
    if (report.is_object()) {
        if (!text(at(report, "Bridge"), "Name").empty())
            tree.add(3, "host: bridge " + interface_line(at(report, "Bridge")));
        if (!text(at(report, "HostInterface"), "Name").empty())
            tree.add(3, "host: veth   " + interface_line(at(report, "HostInterface")));
        for (const Json& interface : at(report, "Interfaces"))
            tree.add(3, "inside: " + interface_line(interface));
        for (const Json& route : at(report, "Routes"))
            tree.add(3, "inside: route " + route.get<std::string>());
    }
    for (const Json& published : at(entry, "Ports")) port(tree, published);
    const Json& rules = at(report, "Rules");
    if (!rules.is_array() || rules.empty()) return;
    const bool loaded = at(report, "TableLoaded") != false;
    tree.add(3, fmt::format("nft table {}{}", text(report, "Table"),
                            loaded ? "" : " (not loaded: another program removed it)"));
    for (const Json& rule : rules) tree.add(4, rule.get<std::string>());
}

void network(Tree& tree, const Json& all) {
    const Json& section = at(all, "Network");
    if (!section.is_object()) return;
    const std::string owner = text(section, "Of");
    tree.add(1, fmt::format("network  mode {}{}", text(section, "Mode"),
                            owner.empty() ? "" : ": all of it is that of " + owner));
    for (const Json& interface : at(section, "Interfaces"))
        tree.add(2, "the host's: " + interface_line(interface));
    for (const Json& entry : at(section, "Endpoints")) endpoint(tree, entry);
}

std::string process_line(const Json& process) {
    std::string out = fmt::format("{:>7}", number(process, "Pid"));
    if (number(process, "InnerPid") > 0)
        out += fmt::format("  inside {:>5}", number(process, "InnerPid"));
    if (!text(process, "Uid").empty()) out += fmt::format("  uid {}", text(process, "Uid"));
    return out + "  " + text(process, "Command");
}

void process_children(Tree& tree, const Json& processes, std::int64_t parent, std::size_t depth) {
    constexpr std::size_t deepest = 40;
    for (const Json& process : processes) {
        if (number(process, "Parent") != parent || depth > deepest) continue;
        tree.add(depth, process_line(process));
        process_children(tree, processes, number(process, "Pid"), depth + 1);
    }
}

/// Those whose parent is not among them hang below the supervisor, whatever the kernel says: a
/// process that exec started has its parent outside.
void processes(Tree& tree, const Json& all) {
    const Json& section = at(all, "Processes");
    if (!section.is_object()) return;
    tree.add(1, fmt::format("processes  (daemon {})", number(section, "Daemon")));
    const Json& supervisor = at(section, "Supervisor");
    std::size_t depth = 2;
    if (supervisor.is_object()) tree.add(depth++, process_line(supervisor) + "  (supervisor)");
    const Json& inside = at(section, "Container");
    for (const Json& process : inside) {
        const auto is_parent = [&](const Json& other) {
            return number(other, "Pid") == number(process, "Parent");
        };
        if (std::ranges::any_of(inside, is_parent)) continue;
        tree.add(depth, process_line(process));
        process_children(tree, inside, number(process, "Pid"), depth + 1);
    }
}

std::string milliseconds(std::int64_t nanoseconds) {
    return fmt::format("{:.1f} ms", static_cast<double>(nanoseconds) / 1e6);
}

std::string titled(std::string_view title, const std::string& value) {
    return value.empty() ? "" : fmt::format("{}{}", title, value);
}

/// "quota 50000 of 100000 us, shares 1024, CPUs 0-1, memory nodes 0"
std::string cpu_limit(const Json& cpu) {
    const std::string quota = text(cpu, "Quota");
    std::string out = quota.empty() || quota.starts_with('-')
                          ? "no quota"
                          : fmt::format("quota {} of {} us", quota, text(cpu, "Period"));
    out += titled(", shares ", text(cpu, "Shares")) + titled(", weight ", text(cpu, "Weight"));
    return out + titled(", CPUs ", text(cpu, "Cpus")) +
           titled(", memory nodes ", text(cpu, "Mems"));
}

void cgroup(Tree& tree, const Json& all) {
    const Json& section = at(all, "Cgroup");
    if (!section.is_object()) return;
    const Json& memory = at(section, "Memory");
    const Json& cpu = at(section, "Cpu");
    const Json& pids = at(section, "Pids");
    tree.add(1, "cgroup  " + text(section, "Path"));
    const Json& block_io = at(section, "BlockIo");
    tree.add(2, fmt::format("memory  {} used, limit {}, with swap {}, reserved {}",
                            bytes(number(memory, "Usage")), text(memory, "LimitText"),
                            text(memory, "SwapLimitText"), text(memory, "ReservationText")));
    tree.add(2,
             fmt::format("cpu     {} used, {} throttled, {}", milliseconds(number(cpu, "UsageNs")),
                         milliseconds(number(cpu, "ThrottledNs")), cpu_limit(cpu)));
    tree.add(2, fmt::format("disk    {} read, {} written{}", bytes(number(block_io, "ReadBytes")),
                            bytes(number(block_io, "WrittenBytes")),
                            titled(", weight ", text(block_io, "Weight"))));
    const auto limit = at(pids, "Limit").is_number() ? at(pids, "Limit").get<double>() : 0;
    const bool unlimited = limit <= 0 || limit > 1e9;
    tree.add(2, fmt::format("pids    {}, limit {}", number(pids, "Current"),
                            unlimited ? "unlimited" : fmt::format("{:.0f}", limit)));
    const Json& directories = at(section, "Directories");
    if (!directories.is_object()) return;
    tree.add(2, "directories");
    std::size_t width = 0;
    for (const auto& [controller, path] : directories.items())
        width = std::max(width, controller.size());
    for (const auto& [controller, path] : directories.items())
        tree.add(3, fmt::format("{:<{}}  {}", controller, width, path.get<std::string>()));
}

void namespaces(Tree& tree, const Json& all) {
    const Json& section = at(all, "Namespaces");
    if (!section.is_object() || section.empty()) return;
    tree.add(1, "namespaces");
    for (const auto& [type, entry] : section.items())
        tree.add(2, fmt::format("{:<7} {}{}", type, text(entry, "Id"),
                                at(entry, "Shared") == true ? "  (the host's)" : ""));
}

void storage(Tree& tree, const Json& all) {
    const Json& section = at(all, "Storage");
    if (section.is_object()) {
        tree.add(1, fmt::format("root file system  {}", text(section, "Driver")));
        tree.add(2, fmt::format("written  {} in {} files", bytes(number(section, "WritableBytes")),
                                number(section, "WritableFiles")));
        for (const auto& [name, member] :
             {std::pair("upper", "Upper"), std::pair("work", "Work"), std::pair("init", "Init")})
            if (!text(section, member).empty())
                tree.add(2, fmt::format("{:<9}{}", name, text(section, member)));
        for (const Json& layer : at(section, "Layers"))
            tree.add(2, fmt::format("layer    {}  {}  {}", text(layer, "DiffId"),
                                    bytes(number(layer, "Size")), text(layer, "Path")));
    }
    const Json& mounts = at(all, "Mounts");
    if (!mounts.is_array() || mounts.empty()) return;
    tree.add(1, "mounts");
    for (const Json& mount : mounts)
        tree.add(2, fmt::format("{}  {} {}{}", text(mount, "Target"), text(mount, "Type"),
                                text(mount, "Source"),
                                at(mount, "ReadOnly") == true ? "  read-only" : ""));
}

void files(Tree& tree, const Json& all) {
    const Json& section = at(all, "Files");
    if (!section.is_object()) return;
    tree.add(1, "files");
    for (const auto& [name, path] : section.items())
        if (path.is_string() && !path.get<std::string>().empty())
            tree.add(2, fmt::format("{:<9}  {}", to_lower(name), path.get<std::string>()));
}

void timings(Tree& tree, const Json& all) {
    const Json& section = at(all, "TimingsMs");
    if (!section.is_object() || section.empty()) return;
    tree.add(1, "last start");
    for (const auto& [phase, time] : section.items())
        if (time.is_number())
            tree.add(2, fmt::format("{:>9.2f} ms  {}", time.get<double>(), phase));
}

}  // namespace

std::string explain_text(const Json& report) {
    Tree tree;
    for (const auto section :
         std::array{container, network, processes, cgroup, namespaces, storage, files, timings})
        section(tree, report);
    return tree.draw();
}

Result<int> verb_explain(Context& context, const ParsedLine& line) {
    const std::string& format = line.flags.text("format");
    if (!format.empty() && format != "json" && format != "tree")
        return fail(ErrorKind::invalid, "--format is tree or json, not '{}'", format);
    const Json report = TRY(
        TRY(context.client())->get("/corten/containers/" + escape(line.arguments[0]) + "/explain"));
    print(format == "json" ? report.dump(4, ' ', false, Json::error_handler_t::replace) + "\n"
                           : explain_text(report));
    return 0;
}

}  // namespace corten::cli
