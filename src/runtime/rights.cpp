#include <base/text.hpp>
#include <runtime/rights.hpp>
#include <sys/file.hpp>

#include <unistd.h>

#include <cerrno>

namespace corten::runtime {

bool is_host_root() {
    if (::geteuid() != 0) return false;
    // user_namespaces(7): all ids are mapped to themselves in the initial one.
    auto words = split(trim(sys::read_file("/proc/self/uid_map").value_or("")), ' ');
    std::erase(words, "");
    return words == std::vector<std::string>{"0", "0", "4294967295"};
}

bool lacks_rights(const Error& error) {
    return error.number() == EACCES || error.number() == EPERM || error.number() == EROFS;
}

}  // namespace corten::runtime
