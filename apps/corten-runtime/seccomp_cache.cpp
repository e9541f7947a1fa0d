#include "seccomp_cache.hpp"

#include <base/json.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <seccomp/compile.hpp>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

constexpr int format_version = 1;  // of what compile() makes from the same section

/// FNV-1a, twice with different seeds: names a file that only this user writes, it guards nothing.
std::string name_of(std::string_view text) {
    std::uint64_t hash[2] = {0xcbf29ce484222325ULL, 0x84222325cbf29ce4ULL};
    for (auto& value : hash)
        for (const char c : text)
            value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return fmt::format("{}-{:016x}{:016x}-{}", format_version, hash[0], hash[1], text.size());
}

bool is_ours(FdView file) {
    struct ::stat info{};
    return ::fstat(file.raw(), &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
           (info.st_mode & 022) == 0 && info.st_size > 0;
}

}  // namespace

Fd cached_filter(const Global& global, const oci::LinuxSeccomp& section) {
    const auto directory = global.root + "/.seccomp";
    const auto path = fmt::format("{}/{}", directory, name_of(dump_json(to_json(section))));
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
