#include <base/text.hpp>
#include <storage/digest.hpp>

#include <openssl/evp.h>
#include <pthread.h>

#include <array>
#include <span>

namespace corten::storage {

namespace {

constexpr std::string_view prefix = "sha256:";

// OpenSSL's SHA-256 fails only when it cannot allocate, and this program does not go on then.
void require(int ok) {
    if (ok != 1) std::abort();
}

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Context make_context() {
    Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    if (!context) std::abort();
    return context;
}

}  // namespace

struct Sha256::State {
    Context context = make_context();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    require(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
    require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

std::string Sha256::digest() const {
    const Context copy = make_context();
    require(EVP_MD_CTX_copy_ex(copy.get(), state_->context.get()));
    std::array<std::uint8_t, 32> value{};
    require(EVP_DigestFinal_ex(copy.get(), value.data(), nullptr));
    return std::string(prefix) + hex(value);
}

std::string sha256_digest(std::string_view bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.digest();
}

bool is_digest(std::string_view text) {
    return text.size() == prefix.size() + 64 && text.starts_with(prefix) &&
           is_lower_hex(text.substr(prefix.size()));
}

std::string_view digest_hex(std::string_view digest) {
    return digest.substr(prefix.size());
}

std::string chain_id(std::string_view parent_chain_id, std::string_view diff_id) {
    if (parent_chain_id.empty()) return std::string(diff_id);
    return sha256_digest(fmt::format("{} {}", parent_chain_id, diff_id));
}

HashingSource::HashingSource(Source& upstream) : upstream_(upstream), thread_([this] { work(); }) {}

HashingSource::~HashingSource() {
    settle();
    at_work_ = {};
    begin_.release();
    thread_.join();
}

void HashingSource::work() {
    ::pthread_setname_np(::pthread_self(), "storage-hash");
    for (begin_.acquire(); !at_work_.empty(); begin_.acquire()) {
        hash_.update(at_work_);
        done_.release();
    }
}

/// Waits until the thread is through: upstream's bytes live until its next call only.
void HashingSource::settle() {
    if (std::exchange(busy_, false)) done_.acquire();
}

Result<std::string_view> HashingSource::next() {
    settle();
    const std::string_view bytes = TRY(upstream_.next());
    if (bytes.empty()) return bytes;
    bytes_ += bytes.size();
    at_work_ = bytes;
    busy_ = true;
    begin_.release();
    return bytes;
}

std::string HashingSource::digest() {
    settle();
    return hash_.digest();
}

}  // namespace corten::storage
