#pragma once
// SHA-256 and digests in the form of the OCI image spec: "sha256:" and 64 lower-case hex digits.
#include <base/result.hpp>
#include <storage/stream.hpp>

#include <cstdint>
#include <memory>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>

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

/// Passes `upstream` (borrowed) on and counts what goes through, which is hashed by a thread of its
/// own while the reader works on it.
class HashingSource final : public Source {
public:
    explicit HashingSource(Source& upstream);
    ~HashingSource() override;
    Result<std::string_view> next() override;
    /// Of what next() has given so far.
    std::string digest();
    std::uint64_t bytes() const { return bytes_; }

private:
    void work();
    void settle();

    Source& upstream_;
    Sha256 hash_;
    std::uint64_t bytes_ = 0;
    std::string_view at_work_;  ///< upstream's bytes; empty: the thread is to end
    bool busy_ = false;         ///< with what next() gave last
    std::binary_semaphore begin_{0};
    std::binary_semaphore done_{0};
    std::thread thread_;  // last: it starts with everything else in place
};

}  // namespace corten::storage
