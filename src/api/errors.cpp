#include "errors.hpp"

#include <apitypes/common.hpp>

namespace corten::api {

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid:
            return 400;
        case ErrorKind::not_found:
            return 404;
        case ErrorKind::conflict:
            return 409;
        case ErrorKind::not_modified:
            return 304;
        case ErrorKind::unauthorized:
            return 401;
        case ErrorKind::forbidden:
            return 403;
        case ErrorKind::unavailable:
            return 503;
        case ErrorKind::unsupported:
        case ErrorKind::not_built:
            return 501;
        case ErrorKind::no_space:
        case ErrorKind::cancelled:
        case ErrorKind::io:
        case ErrorKind::corrupt:
        case ErrorKind::internal:
            return 500;
    }
    return 500;
}

std::string error_body(const Error& error) {
    return dump_json(to_json(apitypes::ErrorReply{error.message()})) + "\n";
}

}  // namespace corten::api
