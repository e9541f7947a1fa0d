#include <sys/memory.hpp>
#include <sys/mman.h>

#include <link.h>
#include <malloc.h>

#include <cstdint>

namespace corten::sys {

namespace {

constexpr std::uintptr_t page_size = 4096;

int release_object(dl_phdr_info* object, std::size_t, void*) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& segment = object->dlpi_phdr[i];
        // Of a writable segment pages may hold relocations that no file has.
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
        const std::uintptr_t first = (begin + page_size - 1) & ~(page_size - 1);
        const std::uintptr_t last = (begin + segment.p_memsz) & ~(page_size - 1);
        // The vDSO cannot be treated so and need not be.
        if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    }
    return 0;
}

}  // namespace

void release_program_pages() {
    ::dl_iterate_phdr(release_object, nullptr);
}

void release_heap() {
    ::malloc_trim(0);
}

}  // namespace corten::sys
