#include "bootstrap.hpp"
#include "host_release.hpp"
#include "program.hpp"

#include <base/text.hpp>
#include <storage/archive.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <array>

namespace corten::image {

namespace {

Result<HostRelease> host_release() {
    return parse_release(TRY(sys::read_file("/etc/os-release", 1 << 16)));
}

/// apt's settings of the host about how archives are reached and believed; nothing with a password.
std::string host_apt_settings() {
    std::string settings;
    const std::string directory = "/etc/apt/apt.conf.d";
    auto names = sys::list_directory(directory);
    if (!names) return settings;
    std::ranges::sort(*names);
    for (const auto& name : *names) {
        const auto text = sys::read_file(directory + "/" + name, 1 << 16);
        if (!text) continue;
        for (const auto& line : split(*text, '\n')) {
            const bool wanted = line.starts_with("Acquire::Check-") ||
                                to_lower(line).starts_with("acquire::http::proxy");
            if (wanted && line.ends_with(';') && !line.contains('@')) settings += line + "\n";
        }
    }
    return settings;
}

/// What the programs left in the tree that belongs to this machine or can be had again.
bool is_left_out(std::string_view path) {
    constexpr std::array contents_of{"dev/",           "proc/",       "sys/",
                                     "run/",           "tmp/",        "var/lib/apt/lists/",
                                     "var/cache/apt/", "var/log/apt/"};
    constexpr std::array files{
        "etc/hostname",     "etc/resolv.conf",          "var/log/bootstrap.log",
        "var/log/dpkg.log", "var/log/alternatives.log", "var/cache/ldconfig/aux-cache"};
    if (std::ranges::any_of(contents_of, [&](const char* p) { return path.starts_with(p); }))
        return true;
    if (std::ranges::find(files, path) != files.end()) return true;
    return path.ends_with("-old") &&
           (path.starts_with("var/lib/dpkg/") || path.starts_with("var/cache/debconf/"));
}

Result<void> adapt_tree(const std::string& tree, const std::vector<AptSource>& sources) {
    TRY(sys::make_directories(tree + "/etc/apt/sources.list.d"));
    TRY(sys::write_file_atomic(tree + "/etc/apt/sources.list.d/host.sources", to_deb822(sources)));
    if (sys::exists(tree + "/etc/apt/sources.list"))
        TRY(sys::remove_file(tree + "/etc/apt/sources.list"));
    TRY(sys::write_file_atomic(tree + "/etc/apt/apt.conf.d/50host", host_apt_settings()));
    // Containers fetch lists for one run: no translations, and no packages kept in the layer.
    TRY(sys::write_file_atomic(tree + "/etc/apt/apt.conf.d/51container",
                               "Acquire::Languages \"none\";\n"
                               "APT::Keep-Downloaded-Packages \"false\";\n"
                               "Dpkg::Options:: \"--force-unsafe-io\";\n"));
    // Nothing starts services in a container while packages are installed.
    TRY(sys::write_file_atomic(tree + "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0755));
    return sys::write_file_atomic(tree + "/etc/machine-id", "");
}

/// A process namespace lets a cancelled bootstrap end with all its children, and a mount namespace
/// takes the mounts that debootstrap makes in the tree with it.
Result<void> run_debootstrap(const BootstrapContext& context, const HostRelease& release,
                             const std::string& tree, const AptSource& source) {
    const auto unshare = TRY(find_program("unshare", "util-linux"));
    const auto debootstrap = TRY(find_program("debootstrap", "debootstrap"));
    std::vector<std::string> arguments{"--mount",           "--pid",         "--fork",
                                       "--kill-child=KILL", "--propagation", "private",
                                       "--mount-proc",      debootstrap,     "--variant=minbase"};
    if (source.uri.starts_with("https:")) arguments.push_back("--include=ca-certificates");
    if (!source.components.empty())
        arguments.push_back("--components=" + join(source.components, ","));
    if (sys::exists(source.signed_by)) arguments.push_back("--keyring=" + source.signed_by);
    arguments.insert(arguments.end(), {release.codename, tree, source.uri});
    if (!sys::exists("/usr/share/debootstrap/scripts/" + release.codename))
        arguments.push_back(release.script);
    const auto line = [&](std::string_view text) {
        context.say(text.starts_with("I: ") ? text.substr(3) : text);
    };
    return run_program(unshare, arguments, line, context.cancel);
}

}  // namespace

Result<Bootstrapped> bootstrap_distribution(const BootstrapContext& context,
                                            std::string_view name) {
    const HostRelease release = TRY(host_release());
    if (name != release.distribution)
        return fail(ErrorKind::unsupported, "the packages of this host make no image '{}': try {}",
                    name, release.distribution);
    const auto sources = TRY(release_sources(release, host_sources()));
    const std::string tree = context.directory + "/tree";
    TRY(sys::make_directories(tree));
    TRY(run_debootstrap(context, release, tree, main_source(release, sources)));
    TRY(adapt_tree(tree, sources));
    context.say("Storing the image");
    const Fd root = TRY(sys::open(tree, O_RDONLY | O_DIRECTORY));
    const auto tar = storage::produce([&root](storage::Sink& out) {
        return storage::tar_tree(root, out, {.exclude = is_left_out});
    });
    std::vector<std::string> tags{release.codename, "latest"};
    if (!release.version.empty()) tags.insert(tags.begin() + 1, release.version);
    return record_bootstrap(context, *tar, release.distribution, tags, "bash");
}

}  // namespace corten::image
