#pragma once
// What a long image operation tells its client while it runs. The API renders an event as one line
// of docker's JSON stream; the words in `status` are docker's, because its command shows them.
#include <oci/image_spec.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace corten::image {

struct Progress {
    std::string status;  ///< "Downloading", "Pull complete", "Status: Image is up to date for x"
    std::string id;      ///< the layer's 12 hex digits, the tag, or empty
    /// Bytes done and bytes in all; progressDetail is {} when there is no `current`.
    std::optional<std::int64_t> current;
    std::int64_t total = 0;  ///< 0 when it is not known

    /// A line of program output (load, bootstrap), instead of a status.
    std::string stream;

    /// The last line of a push: {"Tag","Digest","Size"}.
    struct Pushed {
        std::string tag;
        std::string digest;
        std::int64_t size = 0;
    };
    std::optional<Pushed> aux;

    /// Of a push: not all images of the index were here, so this one went instead.
    struct PushedInstead {
        oci::Descriptor index;
        oci::Descriptor manifest;
    };
    std::optional<PushedInstead> instead;
};

/// Called by one thread at a time, but not always by the same one. It must not wait for the
/// operation that calls it.
using ProgressSink = std::function<void(const Progress& event)>;

}  // namespace corten::image
