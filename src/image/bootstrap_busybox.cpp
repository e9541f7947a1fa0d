#include "bootstrap.hpp"
#include "program.hpp"

#include <base/text.hpp>
#include <storage/tar.hpp>
#include <sys/file.hpp>

#include <elf.h>
#include <fcntl.h>

#include <array>
#include <cstring>
#include <set>

namespace corten::image {

namespace {

struct Directory {
    const char* name;
    mode_t mode = 0755;
};
// Parents first.
constexpr std::array directories{
    Directory{"bin"},
    Directory{"dev"},
    Directory{"etc"},
    Directory{"home"},
    Directory{"proc"},
    Directory{"root", 0700},
    Directory{"sbin"},
    Directory{"sys"},
    Directory{"tmp", 01777},
    Directory{"usr"},
    Directory{"usr/bin"},
    Directory{"usr/sbin"},
    Directory{"var"},
    Directory{"var/spool"},
    Directory{"var/spool/mail"},
    Directory{"var/www"},
    Directory{"var/tmp", 01777},
};

struct TextFile {
    const char* name;
    const char* content;
    mode_t mode = 0644;
};
constexpr std::array text_files{
    TextFile{"etc/passwd",
             "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
             "bin:x:2:2:bin:/bin:/bin/false\nsys:x:3:3:sys:/dev:/bin/false\n"
             "mail:x:8:8:mail:/var/spool/mail:/bin/false\n"
             "www-data:x:33:33:www-data:/var/www:/bin/false\n"
             "nobody:x:65534:65534:nobody:/home:/bin/false\n"},
    TextFile{"etc/group",
             "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\n"
             "mail:x:8:\nwheel:x:10:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n"},
    TextFile{"etc/shadow", "root:*:10933:0:99999:7:::\nnobody:*:10933:0:99999:7:::\n", 0640},
    TextFile{"etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"},
    TextFile{"etc/shells", "/bin/sh\n/bin/ash\n"},
};

/// A program without an interpreter in its headers (ELF, PT_INTERP) needs no libraries.
Result<bool> is_static_program(const std::string& path) {
    const Fd file = TRY(sys::open(path, O_RDONLY));
    std::array<char, 4096> head{};
    const std::size_t size = TRY(sys::read_some(file, head));
    Elf64_Ehdr header{};
    if (size < sizeof header || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0) return false;
    std::memcpy(&header, head.data(), sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64) return false;
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr part{};
        const std::size_t at = header.e_phoff + i * header.e_phentsize;
        if (at + sizeof part > size) return false;
        std::memcpy(&part, head.data() + at, sizeof part);
        if (part.p_type == PT_INTERP) return false;
    }
    return true;
}

/// apt downloads into its current directory, so a shell changes to ours first.
Result<std::string> busybox_from_package(const BootstrapContext& context) {
    const auto shell = TRY(find_program("sh", "dash"));
    TRY(find_program("apt-get", "apt"));
    TRY(find_program("dpkg-deb", "dpkg"));
    const std::string script =
        "cd \"$1\" && apt-get -q download busybox-static && "
        "dpkg-deb --extract busybox-static_*.deb package";
    TRY(run_program(
            shell, {"-c", script, "sh", context.directory},
            [&](std::string_view line) { context.say(line); }, context.cancel)
            .context("package busybox-static"));
    for (const char* path : {"/package/bin/busybox", "/package/usr/bin/busybox"})
        if (sys::exists(context.directory + path)) return context.directory + path;
    return fail(ErrorKind::corrupt, "the package busybox-static holds no busybox");
}

Result<std::string> find_busybox(const BootstrapContext& context) {
    for (const char* path : {"/bin/busybox", "/usr/bin/busybox"})
        if (sys::exists(path) && TRY(is_static_program(path))) return std::string(path);
    context.say("Fetching the package busybox-static");
    return busybox_from_package(context);
}

struct Facts {
    std::string version;               ///< "1.35.0"
    std::vector<std::string> applets;  ///< "bin/ls"
};

/// "BusyBox v1.35.0 (Debian …) multi-call binary."
std::string version_in(std::string_view line) {
    const std::size_t mark = line.find(" v");
    if (!line.starts_with("BusyBox") || mark == line.npos) return {};
    return std::string(split_once(line.substr(mark + 2), ' ').first);
}

Result<Facts> facts_of(const std::string& busybox, FdView cancel) {
    Facts facts;
    TRY(run_program(
        busybox, {"--help"},
        [&](std::string_view line) {
            if (facts.version.empty()) facts.version = version_in(line);
        },
        cancel));
    TRY(run_program(
        busybox, {"--list-full"}, [&](std::string_view line) { facts.applets.emplace_back(line); },
        cancel));
    return facts;
}

class TreeWriter {
public:
    explicit TreeWriter(storage::Sink& out) : tar_(out), now_{.tv_sec = ::time(nullptr)} {}

    Result<void> directory(const std::string& name, mode_t mode) {
        TRY(tar_.begin({.type = storage::EntryType::directory,
                        .name = name + "/",
                        .mode = mode,
                        .mtime = now_}));
        return tar_.end();
    }
    Result<void> file(const std::string& name, std::string_view content, mode_t mode) {
        TRY(tar_.begin({.name = name, .mode = mode, .size = content.size(), .mtime = now_}));
        TRY(tar_.write_data(content));
        return tar_.end();
    }
    Result<void> hard_link(const std::string& name, const std::string& target) {
        TRY(tar_.begin({.type = storage::EntryType::hard_link,
                        .name = name,
                        .link = target,
                        .mode = 0755,
                        .mtime = now_}));
        return tar_.end();
    }
    Result<void> finish() { return tar_.finish(); }

private:
    storage::TarWriter tar_;
    timespec now_;
};

/// Applets whose directory the tree has, but for busybox itself.
bool is_linkable(const std::string& applet) {
    const auto slash = applet.rfind('/');
    if (slash == applet.npos || applet == "bin/busybox") return false;
    const std::string parent = applet.substr(0, slash);
    return std::ranges::any_of(directories, [&](const Directory& d) { return d.name == parent; });
}

Result<void> write_tree(const std::string& program, const Facts& facts, storage::Sink& out) {
    TreeWriter tree(out);
    for (const auto& directory : directories) TRY(tree.directory(directory.name, directory.mode));
    for (const auto& file : text_files) TRY(tree.file(file.name, file.content, file.mode));
    TRY(tree.file("bin/busybox", program, 0755));
    // busybox --list-full may name one applet in two directories, never one path twice.
    const std::set<std::string> applets(facts.applets.begin(), facts.applets.end());
    for (const auto& applet : applets)
        if (is_linkable(applet)) TRY(tree.hard_link(applet, "bin/busybox"));
    return tree.finish();
}

}  // namespace

Result<Bootstrapped> bootstrap_busybox(const BootstrapContext& context) {
    const std::string path = TRY(find_busybox(context));
    context.say("Using " + path);
    const Facts facts = TRY(facts_of(path, context.cancel));
    const std::string program = TRY(sys::read_file(path));
    const auto tar =
        storage::produce([&](storage::Sink& out) { return write_tree(program, facts, out); });
    std::vector<std::string> tags{"latest"};
    if (!facts.version.empty()) tags.insert(tags.begin(), facts.version);
    return record_bootstrap(context, *tar, "busybox", tags, "sh");
}

}  // namespace corten::image
