#pragma once
// API versions: what a client may speak, and what it gets (wire facts: the version middleware).
#include <apitypes/version.hpp>
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::api {

using apitypes::ApiVersion;
using apitypes::newest;
using apitypes::oldest;

/// A path without its "/v1.41" prefix, percent-decoded. A path without a prefix speaks the newest
/// version.
struct VersionedPath {
    std::string path;
    std::string version_text;  ///< empty without a prefix
    ApiVersion version = newest;
};
Result<VersionedPath> split_version(std::string_view raw_path);

/// The error a client of that version is sent, if any.
Result<void> check_version(const VersionedPath& path);

}  // namespace corten::api
