// state, list, ps.
#include "commands.hpp"
#include "store.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace corten::runtime_cli {
namespace {

/// What `state` and `list -f json` print: the specification's state and runc's additions.
struct Shown {
    std::string oci_version;
    std::string id;
    std::int32_t pid = 0;
    std::string status;
    std::string bundle;
    std::string rootfs;
    std::string created;
    std::map<std::string, std::string> annotations;
    std::string owner;
    static constexpr void fields(auto visit) {
        visit(field("ociVersion", &Shown::oci_version), field("id", &Shown::id),
              field("pid", &Shown::pid), field("status", &Shown::status),
              field("bundle", &Shown::bundle), field("rootfs", &Shown::rootfs),
              field("created", &Shown::created), omit_empty("annotations", &Shown::annotations),
              field("owner", &Shown::owner));
    }
};

Result<Shown> show(const Container& container) {
    const auto& record = container.record();
    const auto state = TRY(container.state());
    return Shown{record.oci_version, record.id,          state.pid,
                 state.status,       record.bundle,      record.rootfs,
                 record.created,     record.annotations, record.owner};
}

Result<Shown> load_and_show(const Global& global, const std::string& id) {
    return show(TRY(Container::load(global, id)));
}

void print_table(const std::vector<Shown>& all) {
    std::size_t id = 2;
    std::size_t bundle = 6;
    for (const auto& entry : all) {
        id = std::max(id, entry.id.size());
        bundle = std::max(bundle, entry.bundle.size());
    }
    const auto line = [&](std::string_view a, std::string_view b, std::string_view c,
                          std::string_view d, std::string_view e, std::string_view f) {
        fmt::print("{:<{}}   {:<11} {:<11} {:<{}}   {:<30} {}\n", a, id, b, c, d, bundle, e, f);
    };
    line("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (const auto& entry : all)
        line(entry.id, fmt::to_string(entry.pid), entry.status, entry.bundle, entry.created,
             entry.owner);
}

/// The lines of ps(1) whose PID column is one of these, and the title.
Result<std::string> filter_ps(const std::string& output, const std::set<std::string>& pids) {
    const auto lines = split(output, '\n');
    auto titles = split(lines[0], ' ');
    std::erase(titles, "");
    const auto column = std::ranges::find(titles, "PID") - titles.begin();
    if (column == static_cast<std::ptrdiff_t>(titles.size()))
        return fail(ErrorKind::invalid, "couldn't find PID field in ps output");
    std::string kept = lines[0] + "\n";
    for (std::size_t i = 1; i < lines.size(); ++i) {
        auto fields = split(lines[i], ' ');
        std::erase(fields, "");
        if (static_cast<std::ptrdiff_t>(fields.size()) > column &&
            pids.contains(fields[static_cast<std::size_t>(column)]))
            kept += lines[i] + "\n";
    }
    return kept;
}

Result<std::string> run_ps(const std::vector<std::string>& arguments) {
    sys::SpawnRequest request;
    request.program = sys::exists("/bin/ps") ? "/bin/ps" : "/usr/bin/ps";
    request.arguments = arguments.empty() ? std::vector<std::string>{"-ef"} : arguments;
    auto [read_end, write_end] = TRY(sys::pipe());
    request.fds = {{write_end, STDOUT_FILENO}, {FdView(STDERR_FILENO), STDERR_FILENO}};
    auto child = TRY(sys::spawn(request));
    write_end.reset();
    auto output = TRY(sys::read_all(read_end));
    const auto status = TRY(child.wait());
    if (status.code != 0) return fail(ErrorKind::io, "ps: exit status {}", status.code);
    return output;
}

}  // namespace

Result<int> state(const Global& global, const std::string& id) {
    fmt::print("{}\n", to_json(TRY(load_and_show(global, id))).dump(2));
    return 0;
}

Result<int> list(const Global& global, const std::string& format, bool quiet) {
    if (format != "table" && format != "json")
        return fail(ErrorKind::invalid, "invalid format option");
    // The usual one is made with the first container; another that is missing is a mistyped name.
    if (global.root != default_root() && !sys::exists(global.root))
        return fail(ErrorKind::not_found, "--root: {} does not exist", global.root);
    std::vector<Shown> all;
    for (const auto& id : TRY(Container::ids(global))) {
        auto shown = load_and_show(global, id);
        // Deleted between the listing and now, or damaged: the others still count.
        if (!shown)
            log_warning(fmt::format("load container {}: {}", id, shown.error().message()));
        else
            all.push_back(std::move(*shown));
    }
    if (quiet)
        for (const auto& entry : all) fmt::print("{}\n", entry.id);
    else if (format == "json")
        fmt::print("{}", all.empty() ? "null" : dump_json(to_json(all)));
    else
        print_table(all);
    return 0;
}

Result<int> processes(const Global& global, const std::string& id, const std::string& format,
                      const std::vector<std::string>& ps_options) {
    const auto container = TRY(Container::load(global, id));
    const auto group = TRY(container.cgroup());
    if (!container.had_cgroup())
        return fail(ErrorKind::conflict, "container has no cgroup to look in");
    const auto pids = TRY(group.processes());
    if (format == "json") {
        fmt::print("{}\n", dump_json(to_json(pids)));
        return 0;
    }
    if (format != "table") return fail(ErrorKind::invalid, "invalid format option");
    std::set<std::string> names;
    for (const auto pid : pids) names.insert(fmt::to_string(pid));
    fmt::print("{}", TRY(filter_ps(TRY(run_ps(ps_options)), names)));
    return 0;
}

}  // namespace corten::runtime_cli
