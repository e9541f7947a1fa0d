#pragma once
// Pulling, for `pull` itself and for `run` and `create` when an image is missing.
#include "../context.hpp"

#include <base/reference.hpp>

namespace corten::cli {

struct PullOptions {
    std::string platform;
    bool all_tags = false;
    bool quiet = false;
    bool to_standard_error = false;  ///< `run` keeps its standard output for the container
};

Result<void> pull_image(Context& context, const Reference& name, const PullOptions& options);

/// Shows the lines of a reply that reports progress, to standard output or error.
Result<void> show_progress(Reply reply, bool to_standard_error, bool quiet);

/// What --platform says, if anything, as the query parameter of the routes that want it as JSON.
Result<void> add_platform(http::Query& query, const FlagValues& flags);

/// Header X-Registry-Auth for a registry, from where the user's credentials are kept. Where they
/// cannot be had a warning says so, and the header names nobody: what is public can be pulled.
Result<std::string> registry_auth(Context& context, const std::string& domain);

}  // namespace corten::cli
