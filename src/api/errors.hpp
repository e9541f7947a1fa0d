#pragma once
#include <base/result.hpp>

namespace corten::api {

/// The one table from error kind to HTTP status.
int status_of(ErrorKind kind);

/// {"message":"..."} and a newline, as clients expect it.
std::string error_body(const Error& error);

}  // namespace corten::api
