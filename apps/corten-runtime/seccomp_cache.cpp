#include "seccomp_cache.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <seccomp/compile.hpp>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

constexpr std::uint64_t format_version = 3;  // of the text, and of what compile() makes of it

/// A section as bytes. Each value says how long it is, so that no two sections have the same, and
/// none begins with another.
class Text {
public:
    explicit Text(const oci::LinuxSeccomp& section);
    const std::string& bytes() const { return bytes_; }

private:
    void add(std::uint64_t number) {
        for (int shift = 0; shift < 64; shift += 8)
            bytes_ += static_cast<char>(static_cast<unsigned char>(number >> shift));
    }
    void add(std::string_view text) {
        add(std::uint64_t{text.size()});
        bytes_ += text;
    }
    void add(const std::vector<std::string>& list) {
        add(std::uint64_t{list.size()});
        for (const auto& text : list) add(std::string_view(text));
    }
    /// No value and zero are two things.
    void add(const std::optional<std::uint32_t>& number) {
        add(number ? std::uint64_t{*number} : ~std::uint64_t{0});
    }
    void add(const oci::SeccompSyscall& rule);

    std::string bytes_;
};

void Text::add(const oci::SeccompSyscall& rule) {
    add(rule.names);
    add(std::string_view(rule.action));
    add(rule.errno_ret);
    add(std::uint64_t{rule.args.size()});
    for (const auto& argument : rule.args) {
        for (const std::uint64_t number :
             {std::uint64_t{argument.index}, argument.value, argument.value_two})
            add(number);
        add(std::string_view(argument.op));
    }
}

Text::Text(const oci::LinuxSeccomp& section) {
    add(format_version);
    add(std::string_view(section.default_action));
    add(section.default_errno_ret);
    add(section.architectures);
    add(std::uint64_t{section.syscalls.size()});
    for (const auto& rule : section.syscalls) add(rule);
}

/// FNV-1a. It finds the file; what is in it is compared.
std::string name_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return fmt::format("{:016x}", hash);
}

bool is_ours(FdView file) {
    struct ::stat info{};
    return ::fstat(file.raw(), &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
           (info.st_mode & 022) == 0 && info.st_size > 0;
}

/// The program that a file has for this section: after the section itself, which may be another
/// whose name is the same.
std::string program_in(const std::string& path, std::string_view text) {
    const auto file = sys::open(path, O_RDONLY | O_NOFOLLOW);
    if (!file || !is_ours(*file)) return "";
    const auto content = sys::read_all(*file).value_or("");
    return content.starts_with(text) ? content.substr(text.size()) : "";
}

}  // namespace

Fd cached_filter(const Global& global, const oci::LinuxSeccomp& section) {
    const Text text(section);
    const auto directory = global.root + "/.seccomp";
    const auto path = fmt::format("{}/{}", directory, name_of(text.bytes()));
    auto program = program_in(path, text.bytes());
    if (program.empty()) {
        std::vector<std::string> warnings;
        auto compiled = seccomp::compile(section, &warnings);
        // An error here, and each warning, is found again and told when the runtime compiles.
        if (!compiled || !warnings.empty()) return Fd();
        program = std::move(*compiled);
        // Without it the next one takes longer.
        if (sys::make_directories(directory, 0700))
            sys::write_file_atomic(path, text.bytes() + program, 0600).ignore();
    }
    return seccomp::to_file(program).value_or(Fd());
}

}  // namespace corten::runtime_cli
