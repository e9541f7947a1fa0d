#include "files.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>

namespace corten::cgroup {
namespace {

std::string in(const std::string& directory, std::string_view file) {
    return fmt::format("{}/{}", directory, file);
}

}  // namespace

Result<std::string> read_control(const std::string& directory, std::string_view file) {
    std::string content = TRY(sys::read_file(in(directory, file)));
    if (content.ends_with('\n')) content.pop_back();
    return content;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
    if (text == "max") return std::numeric_limits<std::uint64_t>::max();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> read_number(const std::string& directory, std::string_view file) {
    const auto content = read_control(directory, file);
    return content ? to_number(*content) : std::nullopt;
}

std::map<std::string, std::uint64_t> read_flat_keyed(const std::string& directory,
                                                     std::string_view file) {
    std::map<std::string, std::uint64_t> values;
    const auto content = read_control(directory, file);
    if (!content) return values;
    for (const auto& line : split(*content, '\n')) {
        const auto [key, value] = split_once(line, ' ');
        if (const auto number = to_number(value)) values.emplace(key, *number);
    }
    return values;
}

Result<std::vector<std::string>> subgroups(const std::string& directory) {
    std::vector<std::string> found;
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr && errno == ENOENT) return found;
    if (stream == nullptr) return fail_errno("open {}", directory);
    errno = 0;
    while (const dirent* entry = ::readdir(stream))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            found.push_back(in(directory, entry->d_name));
    const int number = errno;
    ::closedir(stream);
    if (number != 0 && number != ENOENT)
        return Error::from_errno(number, fmt::format("list {}", directory));
    return found;
}

bool has_control(const std::string& directory, std::string_view file) {
    return ::access(in(directory, file).c_str(), F_OK) == 0;
}

Result<void> write_control(const std::string& directory, std::string_view file,
                           std::string_view value, std::string_view kernel_option) {
    const std::string path = in(directory, file);
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT)
        return fail(ErrorKind::unsupported, "{} is missing: the kernel needs {}", path,
                    kernel_option);
    if (!fd) return fail_errno("open {}", path);
    for (;;) {
        if (::write(fd.raw(), value.data(), value.size()) >= 0) return {};
        if (errno != EINTR) return fail_errno("write \"{}\" to {}", value, path);
    }
}

}  // namespace corten::cgroup
