#pragma once
// What a registry says when it refuses (distribution spec, "Error Codes"), and docker's sentences
// for it.
#include "transport.hpp"

#include <image/reference.hpp>

namespace corten::image {

struct Refusal {
    int status = 0;
    std::string status_line;
    std::string code;     ///< "MANIFEST_UNKNOWN"; empty when the body held none
    std::string message;  ///< of the code, or what could be made of the body
};

/// Reads the rest of an answer with a status of 400 or more.
Refusal read_refusal(Exchange& answer);
/// From a body and the WWW-Authenticate field, which can carry an OAuth error (RFC 6750 3.1).
Refusal parse_refusal(int status, std::string_view status_line, std::string_view body,
                      std::string_view challenge);

/// "manifest unknown: manifest unknown", or a sentence about the status.
std::string describe(const Refusal& refusal);
/// The error for a manifest or blob of `reference` that could not be pulled.
Error pull_error(const Refusal& refusal, const Reference& reference);
/// The error for everything else.
Error plain_error(const Refusal& refusal);

}  // namespace corten::image
