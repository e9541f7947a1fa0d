// /proc/self/mountinfo, with /proc/self/cgroup behind a form feed.
#include "fuzz.hpp"

#include <base/text.hpp>

#include <cgroup/layout.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto [mounts, own] = corten::split_once(corten::text_of(data, size), '\f');
    (void)corten::cgroup::Layout::parse(mounts, own, "");
    return 0;
}
