#include "memory.hpp"

#include <sys/memory.hpp>
#include <sys/mman.h>

#include <malloc.h>

#include <cstdint>

namespace corten::shim {

namespace {
constexpr std::size_t page_size = 4096;
constexpr std::size_t buffer_size = 64 << 10;
alignas(page_size) char buffer[buffer_size];

/// What lies below the current frame was written by calls that have returned.
void trim_stack() {
    constexpr std::uintptr_t red_zone = 4 * page_size;  // this function's and madvise's own frames
    constexpr std::uintptr_t deepest = 256 << 10;
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t top = (here - red_zone) & ~(page_size - 1);
    // Beyond the stack nothing is mapped: that part of the range is refused, the rest is done.
    ::madvise(reinterpret_cast<void*>(top - deepest), deepest, MADV_DONTNEED);
}
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
    sys::release_heap();
    trim_stack();
    sys::release_program_pages();
}

}  // namespace corten::shim
