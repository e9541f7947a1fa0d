#pragma once
// Searching a registry for repositories: GET /images/search.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/puller.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

struct FoundRepository {
    std::string name;
    std::string description;
    std::int64_t stars = 0;
    bool official = false;
    bool automated = false;
};

/// `term` is "[REGISTRY/]TEXT"; without a registry Docker Hub is asked. Registries with an index
/// are asked as docker does (GET /v1/search of the Registry API v1); of the others the catalogue
/// (distribution spec: GET /v2/_catalog) is read and what contains TEXT is found. At most `limit`
/// results. Errors: invalid for an empty term; forbidden, unauthorized and unavailable as for pull.
Result<std::vector<FoundRepository>> search(std::string_view term, std::size_t limit,
                                            const Credentials& credentials,
                                            const PullOptions& options, FdView cancel);

}  // namespace corten::image
