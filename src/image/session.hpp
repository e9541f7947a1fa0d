#pragma once
// One repository of one registry (distribution spec 1.1): authorization, redirects, retries, and
// the requests for manifests, blobs and uploads. Thread-safe.
#include "refusal.hpp"
#include "transport.hpp"

#include <base/stream.hpp>
#include <base/sync.hpp>
#include <image/challenge.hpp>
#include <image/credentials.hpp>
#include <image/reference.hpp>
#include <oci/image_spec.hpp>

#include <atomic>
#include <mutex>
#include <set>

namespace corten::image {

struct Call {
    std::string method = "GET";
    /// "/v2/…" below the endpoint, or a whole URL (an upload's Location).
    std::string target;
    http::Headers headers;
    std::string body;
    ByteSource producer;  ///< such a call is sent once only
    bool once = false;    ///< the caller has its own way to try again
    std::optional<std::uint64_t> length;
};

/// What the registry wants to see in Authorization, learnt from its refusals.
class Authorizer {
public:
    /// `scope` is what to ask a token server for when the challenge names none, e.g.
    /// "repository:library/debian:pull"; "" for none.
    Authorizer(Transport& transport, Credentials credentials, std::string scope)
        : transport_(transport), credentials_(std::move(credentials)), scope_(std::move(scope)) {}

    /// "" until something was learnt.
    std::string header();
    /// After a 401 for a request that carried `used`. True when header() now differs: try again.
    /// Fills `failure` where it is the token server that could not be asked now.
    Result<bool> learn(const Exchange& answer, const std::string& used,
                       std::optional<RequestFailure>& failure);
    /// Asks token servers for an identity token too.
    void want_identity_token() { offline_ = true; }
    std::string identity_token();

private:
    Result<bool> use_basic(const std::string& used);
    Result<bool> use_bearer(const Challenge& challenge, const Exchange& answer,
                            std::optional<RequestFailure>& failure);
    void add_scopes(const Challenge& challenge);
    Result<Token> fetch_token(const Challenge& challenge, const http::Url& realm,
                              std::optional<RequestFailure>& failure);
    http::ClientRequest token_request(const Challenge& challenge, http::Url& realm) const;

    Transport& transport_;
    const Credentials credentials_;
    const std::string scope_;
    bool offline_ = false;
    std::mutex mutex_;
    std::string header_;
    /// All that challenges have named so far: one token serves uploads that go on side by side.
    std::vector<std::string> scopes_;
    std::string identity_token_;
    std::chrono::steady_clock::time_point expires_ = std::chrono::steady_clock::time_point::max();
};

/// An answer as a whole.
struct Document {
    Exchange answer;
    std::string body;  ///< "" of a refusal
};

struct FetchedManifest {
    std::string bytes;
    std::string content_type;
    std::string digest;
};

class Session {
public:
    /// `actions`: "pull" or "pull,push".
    Session(Transport& transport, Endpoint endpoint, Reference repository,
            const Credentials& credentials, std::string_view actions);

    const Endpoint& endpoint() const { return endpoint_; }
    const Reference& repository() const { return repository_; }
    Transport& transport() { return transport_; }
    Authorizer& authorizer() { return authorizer_; }
    /// "/v2/PATH/" + rest
    std::string path(std::string_view rest) const;

    /// The answer of any status but 401, 429 and 5xx that lasted; redirects of GET and HEAD are
    /// followed, without credentials on other hosts. Errors of kind unavailable say that there was
    /// no answer.
    Result<Exchange> request(const Call& call);
    /// The same with all of a body of at most `limit` bytes, which is asked for again when it was
    /// cut; that of a refusal is still to be read.
    Result<Document> document(const Call& call, std::size_t limit);

    /// Whether another endpoint may have what this one answered with `error`. A mirror may lack
    /// anything; another scheme of the same host is only for one that never was there.
    bool gives_way_after(const Error& error) const;

    /// GET /v2/: whether there is a registry that takes the credentials.
    Result<void> ping();
    /// By tag or digest; a digest is verified.
    Result<FetchedManifest> manifest(const std::string& tag_or_digest);
    /// A small blob, verified.
    Result<std::string> small_blob(const oci::Descriptor& blob, std::size_t limit);
    /// From byte `offset` on. The answer may be 200 although a range was asked for.
    Result<Exchange> blob(const std::string& digest, std::uint64_t offset);
    /// Bytes `begin` to `end` - 1, asked for once: the answer may have any status, and be no part.
    Result<Exchange> blob_part(const std::string& digest, std::uint64_t begin, std::uint64_t end);
    /// All of them, page after page.
    Result<std::vector<std::string>> tags();
    /// Stores a manifest or index under a tag or its digest. True when the registry has noted its
    /// subject, if it has one, for its referrers API (OCI-Subject).
    Result<bool> put_manifest(const std::string& tag_or_digest, const std::string& media_type,
                              std::string text);
    /// What the registry wanted its users to be told since the last call, each once.
    std::vector<std::string> take_warnings();

private:
    /// Sends the call until `use` has made something of an answer.
    template <typename T, typename Use>
    Result<T> repeated(const Call& call, const Use& use);
    Result<Exchange> try_once(const Call& call, std::optional<RequestFailure>& failure);
    Result<Exchange> follow(const Call& call, const http::Url& first,
                            std::optional<RequestFailure>& failure);
    Result<Exchange> send_authorized(const Call& call, const http::Url& url,
                                     std::optional<RequestFailure>& failure);
    Result<http::Url> url_of(const Call& call) const;
    bool is_own(const http::Url& url) const;
    Error transport_error(const Call& call, const RequestFailure& failure) const;

    void note_warnings(const Exchange& answer);
    Result<std::string> next_page(const Exchange& answer) const;
    Call blob_call(const std::string& digest) const;
    Error blob_error(Exchange& answer, const std::string& digest) const;

    struct Warnings {
        std::set<std::string> known;
        std::vector<std::string> untold;
    };

    Transport& transport_;
    const Endpoint endpoint_;
    const Reference repository_;
    Authorizer authorizer_;
    Sync<Warnings> warnings_;
    std::atomic<bool> reached_ = false;  ///< the endpoint, by whatever protocol it has
};

}  // namespace corten::image
