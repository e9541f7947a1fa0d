#pragma once
// A session with a registry that does what the test says, and blobs to fetch from it.
#include "blob_source.hpp"
#include "fake_registry.hpp"

namespace corten::image {

inline TransportOptions fast(FdView cancel = {}) {
    return {.connect_timeout = std::chrono::seconds(2),
            .stall_timeout = std::chrono::milliseconds(400),
            .attempts = 4,
            .first_pause = std::chrono::milliseconds(1),
            .cancel = cancel};
}

struct Client {
    explicit Client(const FakeRegistry& registry, Credentials credentials = {}, FdView cancel = {})
        : Client(registry, fast(cancel), credentials) {}
    Client(const FakeRegistry& registry, TransportOptions options, Credentials credentials = {},
           bool mirror = false)
        : transport(std::move(options)),
          session(transport,
                  {.scheme = "http",
                   .host = registry.host(),
                   .path = "app",
                   .verify = false,
                   .mirror = mirror},
                  Reference::parse(registry.host() + "/app:1").value(), credentials, "pull") {}
    Transport transport;
    Session session;
};

/// Everything a source gives, or the message of its error.
inline std::string read_whole(storage::Source& source) {
    std::string all;
    while (true) {
        auto bytes = source.next();
        if (!bytes) return "error: " + bytes.error().message();
        if (bytes->empty()) return all;
        all += *bytes;
    }
}

inline std::string test_bytes(std::size_t size) {
    std::string bytes(size, '\0');
    unsigned state = 1;
    for (char& c : bytes) c = static_cast<char>((state = state * 1103515245 + 12345) >> 16);
    return bytes;
}

inline oci::Descriptor descriptor_of(std::string_view bytes) {
    return {.media_type = std::string(oci::media::oci_layer),
            .digest = storage::sha256_digest(bytes),
            .size = static_cast<std::int64_t>(bytes.size())};
}

inline std::size_t range_start(const FakeRequest& request) {
    const std::string range = request.header("range");
    return range.empty() ? 0 : std::stoul(range.substr(6));
}

/// The part of a blob that was asked for, cut to `most` bytes but announced whole.
inline FakeReply part(const FakeRequest& request, std::string_view blob, std::size_t most) {
    const std::size_t start = range_start(request);
    FakeReply reply{.status = start > 0 ? 206 : 200,
                    .body = std::string(blob.substr(start, most)),
                    .announced = blob.size() - start};
    if (start > 0)
        reply.headers["Content-Range"] =
            fmt::format("bytes {}-{}/{}", start, blob.size() - 1, blob.size());
    return reply;
}

}  // namespace corten::image
