#pragma once
#include <base/result.hpp>

#include <cerrno>

namespace corten::engine {

/// docker's exit code for a process that could not be started, by the errno of what stopped it:
/// 127 when something is not there, 126 when it may not be executed.
inline int failure_code(const Error& error, int otherwise) {
    switch (error.number()) {
        case ENOENT:
            return 127;
        case EACCES:
            return 126;
        default:
            return otherwise;
    }
}

}  // namespace corten::engine
