#include <base/result.hpp>

#include <cerrno>
#include <cstring>

namespace corten {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid:
            return "invalid";
        case ErrorKind::not_found:
            return "not found";
        case ErrorKind::conflict:
            return "conflict";
        case ErrorKind::not_modified:
            return "not modified";
        case ErrorKind::unauthorized:
            return "unauthorized";
        case ErrorKind::forbidden:
            return "forbidden";
        case ErrorKind::unavailable:
            return "unavailable";
        case ErrorKind::unsupported:
            return "unsupported";
        case ErrorKind::not_built:
            return "not built";
        case ErrorKind::no_space:
            return "no space";
        case ErrorKind::cancelled:
            return "cancelled";
        case ErrorKind::io:
            return "io";
        case ErrorKind::corrupt:
            return "corrupt";
        case ErrorKind::internal:
            return "internal";
    }
    return "unknown";
}

namespace {

ErrorKind kind_of(int number) {
    switch (number) {
        case ENOENT:
        case ESRCH:
            return ErrorKind::not_found;
        case EEXIST:
        case EBUSY:
        case ENOTEMPTY:
            return ErrorKind::conflict;
        case EINVAL:
        case ENAMETOOLONG:
        case ELOOP:
            return ErrorKind::invalid;
        case ENOSPC:
        case EDQUOT:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
            return ErrorKind::no_space;
        case ENOSYS:
        case EOPNOTSUPP:
            return ErrorKind::unsupported;
        case ECONNREFUSED:
        case ECONNRESET:
        case ETIMEDOUT:
        case EPIPE:
            return ErrorKind::unavailable;
        case ECANCELED:
            return ErrorKind::cancelled;
        default:
            return ErrorKind::io;
    }
}

}  // namespace

Error Error::from_errno(int number, std::string_view message) {
    char buffer[128];
    const char* text = ::strerror_r(number, buffer, sizeof buffer);
    return Error(kind_of(number), fmt::format("{}: {}", message, text)).with_number(number);
}

}  // namespace corten
