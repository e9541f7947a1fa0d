#include "seccomp_cache.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <seccomp/compile.hpp>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

constexpr int format_version = 2;  // of what compile() makes from the same section

/// FNV-1a with two seeds, over the values themselves: it names a file that only this user writes,
/// and guards nothing. Each value ends with its length, so that "ab","c" is not "a","bc".
class Hash {
public:
    void add(std::string_view text) {
        for (const char c : text) add_byte(static_cast<unsigned char>(c));
        add(std::uint64_t{text.size()});
    }
    void add(std::uint64_t number) {
        for (int shift = 0; shift < 64; shift += 8)
            add_byte(static_cast<unsigned char>(number >> shift));
    }
    std::string text() const { return fmt::format("{:016x}{:016x}", state_[0], state_[1]); }

private:
    void add_byte(unsigned char byte) {
        for (auto& value : state_) value = (value ^ byte) * 0x100000001b3ULL;
    }
    std::uint64_t state_[2] = {0xcbf29ce484222325ULL, 0x84222325cbf29ce4ULL};
};

void add(Hash& hash, const std::vector<std::string>& list) {
    for (const auto& text : list) hash.add(text);
    hash.add(std::uint64_t{list.size()});
}

/// No value and zero are two things.
void add(Hash& hash, const std::optional<std::uint32_t>& number) {
    hash.add(number ? std::uint64_t{*number} : ~std::uint64_t{0});
}

std::string name_of(const oci::LinuxSeccomp& section) {
    Hash hash;
    hash.add(section.default_action);
    add(hash, section.default_errno_ret);
    add(hash, section.architectures);
    for (const auto& rule : section.syscalls) {
        add(hash, rule.names);
        hash.add(rule.action);
        add(hash, rule.errno_ret);
        for (const auto& argument : rule.args) {
            for (const std::uint64_t number :
                 {std::uint64_t{argument.index}, argument.value, argument.value_two})
                hash.add(number);
            hash.add(argument.op);
        }
        hash.add(std::uint64_t{rule.args.size()});
    }
    return fmt::format("{}-{}", format_version, hash.text());
}

bool is_ours(FdView file) {
    struct ::stat info{};
    return ::fstat(file.raw(), &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
           (info.st_mode & 022) == 0 && info.st_size > 0;
}

}  // namespace

Fd cached_filter(const Global& global, const oci::LinuxSeccomp& section) {
    const auto directory = global.root + "/.seccomp";
    const auto path = fmt::format("{}/{}", directory, name_of(section));
    auto there = sys::open(path, O_RDONLY | O_NOFOLLOW);
    if (there && is_ours(*there)) return std::move(*there);
    const auto program = seccomp::compile(section);
    // An error here is found again, and told, when the runtime compiles.
    if (!program || !sys::make_directories(directory, 0700)) return Fd();
    if (!sys::write_file_atomic(path, *program, 0600)) return Fd();
    there = sys::open(path, O_RDONLY | O_NOFOLLOW);
    return there && is_ours(*there) ? std::move(*there) : Fd();
}

}  // namespace corten::runtime_cli
