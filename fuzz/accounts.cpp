// /etc/passwd and /etc/group of an image, and the user that was asked for: its first line.
#include "fuzz.hpp"
#include "users.hpp"

#include <base/text.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto [user, files] = corten::split_once(corten::text_of(data, size), '\n');
    const auto [passwd, group] = corten::split_once(files, '\f');
    (void)corten::engine::resolve_user_in(passwd, group, user, {std::string(user)});
    return 0;
}
