#pragma once
// One supervisor runs beside each container, so what it keeps is counted in kilobytes: one buffer
// for all reads, given back when output pauses.
#include <span>

namespace corten::shim {

/// Sets the allocator up for a small program. Once, at the start.
void limit_memory();
/// 64 KiB, for the duration of one read.
std::span<char> read_buffer();
void release_read_buffer();
/// Gives the allocator's free pages back.
void trim_memory();

}  // namespace corten::shim
