#pragma once
// What a long-lived process gives back when it has nothing to do.

namespace corten::sys {

/// Unmaps the pages of program and library files that were only read: code that start-up needed,
/// and what the kernel mapped around it. They stay in the page cache and come back on first use.
void release_program_pages();

/// Returns what is free in the heap.
void release_heap();

}  // namespace corten::sys
