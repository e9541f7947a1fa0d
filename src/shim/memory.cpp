#include "memory.hpp"

#include <sys/mman.h>

#include <malloc.h>

namespace corten::shim {

namespace {
constexpr std::size_t buffer_size = 64 << 10;
alignas(4096) char buffer[buffer_size];
}  // namespace

void limit_memory() {
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
    ::mallopt(M_TOP_PAD, 4 << 10);
}

std::span<char> read_buffer() {
    return buffer;
}

void release_read_buffer() {
    // Only what is in it is forgotten, so a failure would do no harm.
    ::madvise(buffer, buffer_size, MADV_DONTNEED);
    trim_memory();
}

void trim_memory() {
    ::malloc_trim(0);
}

}  // namespace corten::shim
