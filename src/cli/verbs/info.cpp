#include "../verbs.hpp"
#include "rows.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

namespace corten::cli {

namespace {

/// Writes "  Name: value" lines; members that are missing or empty are left out.
class Listing {
public:
    explicit Listing(const Json& info) : info_(info) {}

    void line(int indent, std::string_view label, std::string_view value) {
        if (!value.empty()) text_ += fmt::format("{:{}}{}: {}\n", "", indent, label, value);
    }
    void title(std::string_view label) { text_ += fmt::format(" {}:\n", label); }
    void plain(int indent, std::string_view value) {
        text_ += fmt::format("{:{}}{}\n", "", indent, value);
    }
    void member(int indent, std::string_view label, const char* name) {
        const auto found = info_.find(name);
        if (found == info_.end() || found->is_null()) return;
        line(indent, label, found->is_string() ? found->get<std::string>() : found->dump());
    }
    std::string take() { return std::move(text_); }

private:
    const Json& info_;
    std::string text_;
};

std::string joined(const Json& list) {
    std::vector<std::string> parts;
    if (list.is_array())
        for (const Json& entry : list) parts.push_back(entry.get<std::string>());
    return join(parts, " ");
}

void counts_and_driver(Listing& out, const Json& info) {
    out.member(1, "Containers", "Containers");
    out.member(2, "Running", "ContainersRunning");
    out.member(2, "Paused", "ContainersPaused");
    out.member(2, "Stopped", "ContainersStopped");
    out.member(1, "Images", "Images");
    out.member(1, "Server Version", "ServerVersion");
    out.member(1, "Storage Driver", "Driver");
    for (const Json& pair : info.value("DriverStatus", Json::array()))
        if (pair.size() == 2) out.line(2, pair[0].get<std::string>(), pair[1].get<std::string>());
    out.member(1, "Logging Driver", "LoggingDriver");
    out.member(1, "Cgroup Driver", "CgroupDriver");
    out.member(1, "Cgroup Version", "CgroupVersion");
}

void plugins_and_runtimes(Listing& out, const Json& info) {
    if (info.contains("Plugins")) {
        out.title("Plugins");
        const Json& plugins = info["Plugins"];
        out.line(2, "Volume", joined(plugins.value("Volume", Json())));
        out.line(2, "Network", joined(plugins.value("Network", Json())));
        out.line(2, "Log", joined(plugins.value("Log", Json())));
    }
    if (info.contains("Swarm")) out.line(1, "Swarm", info["Swarm"].value("LocalNodeState", ""));
    std::vector<std::string> runtimes;
    const Json all = info.value("Runtimes", Json::object());
    for (const auto& [name, value] : all.items()) runtimes.push_back(name);
    out.line(1, "Runtimes", join(runtimes, " "));
    out.member(1, "Default Runtime", "DefaultRuntime");
    out.member(1, "Init Binary", "InitBinary");
}

/// "name=seccomp,profile=builtin" is shown as two lines.
void security(Listing& out, const Json& info) {
    const Json options = info.value("SecurityOptions", Json());
    if (!options.is_array() || options.empty()) return;
    out.title("Security Options");
    for (const Json& option : options) {
        for (const std::string& part : split(option.get<std::string>(), ',')) {
            const auto [key, value] = split_once(part, '=');
            if (key == "name")
                out.plain(2, value);
            else
                out.line(3, key == "profile" ? "Profile" : key, value);
        }
    }
}

void machine(Listing& out, const Json& info) {
    out.member(1, "Kernel Version", "KernelVersion");
    out.member(1, "Operating System", "OperatingSystem");
    out.member(1, "OSType", "OSType");
    out.member(1, "Architecture", "Architecture");
    out.member(1, "CPUs", "NCPU");
    out.line(1, "Total Memory",
             human_size_binary(static_cast<double>(info.value("MemTotal", std::int64_t{0}))));
    out.member(1, "Name", "Name");
    out.member(1, "ID", "ID");
    out.member(1, "Docker Root Dir", "DockerRootDir");
    out.member(1, "Debug Mode", "Debug");
    out.member(1, "HTTP Proxy", "HttpProxy");
    out.member(1, "HTTPS Proxy", "HttpsProxy");
    out.member(1, "No Proxy", "NoProxy");
    out.member(1, "Experimental", "ExperimentalBuild");
    if (info.contains("RegistryConfig")) {
        const Json networks = info["RegistryConfig"].value("InsecureRegistryCIDRs", Json());
        if (networks.is_array() && !networks.empty()) out.title("Insecure Registries");
        for (const Json& network : networks) out.plain(2, network.get<std::string>());
    }
    out.member(1, "Live Restore Enabled", "LiveRestoreEnabled");
}

}  // namespace

Result<int> verb_info(Context& context, const ParsedLine& line) {
    const std::string& format = line.flags.text("format");
    if (!format.empty()) {
        return print_formatted(TRY(TRY(context.client())->get("/info")), format);
    }
    print("Client: Corten\n Version:    " CORTEN_VERSION "\n\nServer:\n");
    const Json info = TRY(TRY(context.client())->get("/info"));
    Listing out(info);
    counts_and_driver(out, info);
    plugins_and_runtimes(out, info);
    security(out, info);
    machine(out, info);
    print(out.take() + "\n");
    const Json warnings = info.value("Warnings", Json());
    if (warnings.is_array())
        for (const Json& warning : warnings) print_error(warning.get<std::string>());
    return 0;
}

}  // namespace corten::cli
