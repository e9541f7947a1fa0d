#pragma once
// SHA-256 and digests in the form of the OCI image spec: "sha256:" and 64 lower-case hex digits.
#include <base/result.hpp>
#include <storage/stream.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace corten::storage {

/// Runs on OpenSSL, which uses the processor's SHA instructions. One thread at a time.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::string_view bytes);
    /// "sha256:…" of all bytes so far; more may follow.
    std::string digest() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// "sha256:…" of `bytes`.
std::string sha256_digest(std::string_view bytes);
/// True for "sha256:" and 64 lower-case hex digits; nothing else is accepted anywhere.
bool is_digest(std::string_view text);
/// The 64 hex digits. Precondition: is_digest(digest).
std::string_view digest_hex(std::string_view digest);

/// Chain id of a layer over `parent_chain_id` ("" for the lowest): OCI image spec, "Layer ChainID".
std::string chain_id(std::string_view parent_chain_id, std::string_view diff_id);

/// Passes `upstream` (borrowed) on, hashing and counting what goes through.
class HashingSource final : public Source {
public:
    explicit HashingSource(Source& upstream) : upstream_(upstream) {}
    Result<std::string_view> next() override;
    std::string digest() const { return hash_.digest(); }
    std::uint64_t bytes() const { return bytes_; }

private:
    Source& upstream_;
    Sha256 hash_;
    std::uint64_t bytes_ = 0;
};

}  // namespace corten::storage
