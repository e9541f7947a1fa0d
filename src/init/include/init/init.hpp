#pragma once
// PID 1 of a container started with --init: runs one program, passes signals on to it, reaps what
// is orphaned, and ends as the program did.

namespace corten::init {

/// `arguments` is the program and its arguments, ended by nullptr; the program is searched for in
/// PATH. Gives the exit code: the program's, 128 + signal, 127 when it does not exist and 126 when
/// it cannot be executed. Makes no allocation and uses neither base nor sys, so that the static
/// program stays small.
int run(char* const* arguments);

}  // namespace corten::init
