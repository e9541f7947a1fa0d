#include <base/ids.hpp>
#include <base/text.hpp>
#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace corten {

std::string random_hex(std::size_t n) {
    std::vector<std::uint8_t> bytes(n);
    // Short reads do not happen up to 256 bytes once the pool is seeded; nothing can go on without
    // it.
    if (::getrandom(bytes.data(), n, 0) != static_cast<ssize_t>(n)) std::abort();
    return hex(bytes);
}

std::string random_id() {
    for (;;) {
        std::string id = random_hex(32);
        const bool all_digits =
            std::ranges::all_of(short_id(id), [](char c) { return c >= '0' && c <= '9'; });
        if (!all_digits) return id;
    }
}

}  // namespace corten
