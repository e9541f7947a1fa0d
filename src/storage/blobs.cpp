#include <base/clock.hpp>
#include <base/ids.hpp>
#include <base/text.hpp>
#include <storage/blobs.hpp>
#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>

namespace corten::storage {

namespace {

constexpr std::string_view partial_suffix = ".partial";
constexpr auto partial_lifetime = std::chrono::hours(7 * 24);

Result<void> check_digest(std::string_view digest) {
    if (is_digest(digest)) return {};
    return fail(ErrorKind::invalid, "\"{}\" is no sha256 digest", digest);
}

bool is_fresh(const struct ::stat& info) {
    const auto age = now().time_since_epoch() - std::chrono::seconds(info.st_mtim.tv_sec);
    return age < partial_lifetime;
}

/// Removes what no writer can continue: files without a digest as name, and old ones.
Result<void> clean_ingest(const std::string& directory) {
    for (const std::string& name : TRY(sys::list_directory(directory))) {
        const std::string path = fmt::format("{}/{}", directory, name);
        const auto info = TRY(sys::stat(path));
        if (name.ends_with(partial_suffix) && is_fresh(info)) continue;
        TRY(sys::remove_file(path));
    }
    return {};
}

/// Whether the path still names that very file.
bool is_named(FdView file, const std::string& path) {
    struct ::stat opened{}, named{};
    return ::fstat(file.raw(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
           opened.st_ino == named.st_ino;
}

std::string partial_path(const std::string& root, std::string_view digest) {
    return fmt::format("{}/ingest/{}{}", root, digest_hex(digest), partial_suffix);
}

/// Removes a partial file that nobody has open; gives the bytes freed.
Result<std::uint64_t> remove_unwritten(const std::string& path) {
    auto opened = sys::open(path, O_RDWR);
    // Not there, or published since.
    if (!opened && opened.error().kind() == ErrorKind::not_found) return 0;
    const Fd file = TRY(std::move(opened));
    if (!TRY(sys::try_lock(file).context(path)) || !is_named(file, path)) return 0;
    struct ::stat info{};
    if (::fstat(file.raw(), &info) < 0) return fail_errno("stat {}", path);
    TRY(sys::remove_file(path));
    return static_cast<std::uint64_t>(info.st_size);
}

/// Locks the partial file. Between open and lock another writer may have published the file or
/// removed it; writing to that inode would then change a blob, so the name is compared again.
Result<Fd> open_locked(const std::string& path, const std::string& digest) {
    for (;;) {
        Fd file = TRY(sys::open(path, O_RDWR | O_CREAT, 0600));
        if (!TRY(sys::try_lock(file).context(path)))
            return fail(ErrorKind::conflict, "blob {} is being written already", digest);
        if (is_named(file, path)) return file;
    }
}

}  // namespace

BlobWriter::BlobWriter(const BlobStore& store, std::string path, Fd file)
    : store_(&store), path_(std::move(path)), file_(std::move(file)) {}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : store_(other.store_),
      path_(std::exchange(other.path_, {})),
      file_(std::move(other.file_)),
      hash_(std::move(other.hash_)),
      size_(other.size_) {}

BlobWriter::~BlobWriter() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> BlobWriter::write(std::string_view bytes) {
    TRY(sys::write_all(file_, bytes).context(path_));
    hash_.update(bytes);
    size_ += bytes.size();
    return {};
}

Result<std::string> BlobWriter::commit(std::optional<std::string> expected_digest,
                                       std::optional<std::uint64_t> expected_size) {
    std::string found = digest();
    if (expected_size && *expected_size != size_)
        return fail(ErrorKind::corrupt, "blob {}: wanted {} bytes, found {}",
                    expected_digest.value_or(found), *expected_size, size_);
    if (expected_digest && *expected_digest != found)
        return fail(ErrorKind::corrupt, "blob {}: its content has the digest {}", *expected_digest,
                    found);
    TRY(sys::rename(path_, store_->blob_path(found)));
    path_.clear();
    return found;
}

PartialBlob::PartialBlob(PartialBlob&& other) noexcept
    : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)), size_(other.size_) {}

Result<std::size_t> PartialBlob::read(std::uint64_t offset, std::span<char> buffer) const {
    const auto got = ::pread(file_.raw(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0) return fail_errno("read {}", path_);
    return static_cast<std::size_t>(got);
}

Result<void> PartialBlob::append(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto put =
            ::pwrite(file_.raw(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno("write {}", path_);
        size_ += static_cast<std::uint64_t>(put);
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

void PartialBlob::discard() {
    if (path_.empty()) return;
    ::unlink(path_.c_str());
    path_.clear();
    file_.reset();
    size_ = 0;
}

Result<BlobStore> BlobStore::open(const std::string& data_root) {
    TRY(sys::make_directories(fmt::format("{}/blobs/sha256", data_root), 0700));
    const std::string ingest = fmt::format("{}/ingest", data_root);
    TRY(sys::make_directories(ingest, 0700));
    TRY(clean_ingest(ingest));
    return BlobStore(data_root);
}

std::string BlobStore::blob_path(std::string_view digest) const {
    return fmt::format("{}/blobs/sha256/{}", root_, digest_hex(digest));
}

Result<BlobWriter> BlobStore::create() const {
    const std::string path = fmt::format("{}/ingest/{}", root_, random_hex(16));
    Fd file = TRY(sys::open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    return BlobWriter(*this, path, std::move(file));
}

Result<PartialBlob> BlobStore::partial(const std::string& digest) const {
    TRY(check_digest(digest));
    std::string path = partial_path(root_, digest);
    Fd file = TRY(open_locked(path, digest));
    struct ::stat info{};
    if (::fstat(file.raw(), &info) < 0) return fail_errno("stat {}", path);
    return PartialBlob(std::move(path), std::move(file), static_cast<std::uint64_t>(info.st_size));
}

bool BlobStore::has(std::string_view digest) const {
    return is_digest(digest) && sys::exists(blob_path(digest));
}

Result<Fd> BlobStore::open_blob(const std::string& digest) const {
    TRY(check_digest(digest));
    return sys::open(blob_path(digest), O_RDONLY | O_NOFOLLOW);
}

Result<std::uint64_t> BlobStore::size(const std::string& digest) const {
    TRY(check_digest(digest));
    const auto info = TRY(sys::stat(blob_path(digest)));
    return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> BlobStore::read(const std::string& digest, std::size_t limit) const {
    const Fd file = TRY(open_blob(digest));
    std::string content = TRY(sys::read_all(file, limit).context(digest));
    if (sha256_digest(content) != digest)
        return fail(ErrorKind::corrupt, "blob {}: the content on disk has changed", digest);
    return content;
}

Result<void> BlobStore::verify(const std::string& digest) const {
    const Fd file = TRY(open_blob(digest));
    FdSource source(file);
    Sha256 hash;
    FunctionSink sink([&](std::string_view bytes) -> Result<void> {
        hash.update(bytes);
        return {};
    });
    TRY(copy(source, sink).context(digest));
    if (hash.digest() != digest)
        return fail(ErrorKind::corrupt, "blob {}: the content on disk has changed", digest);
    return {};
}

Result<std::string> BlobStore::put(std::string_view bytes) const {
    BlobWriter writer = TRY(create());
    TRY(writer.write(bytes));
    return writer.commit();
}

Result<void> BlobStore::publish(PartialBlob download, const std::string& digest) const {
    TRY(check_digest(digest));
    if (download.path_.empty())
        return fail(ErrorKind::internal, "blob {}: its download was given up", digest);
    TRY(sys::rename(download.path_, blob_path(digest)));
    download.path_.clear();
    return {};
}

Result<void> BlobStore::remove(const std::string& digest) const {
    TRY(check_digest(digest));
    if (::unlink(blob_path(digest).c_str()) < 0 && errno != ENOENT)
        return fail_errno("remove blob {}", digest);
    return {};
}

Result<std::vector<BlobInfo>> BlobStore::list() const {
    std::vector<BlobInfo> blobs;
    const std::string directory = fmt::format("{}/blobs/sha256", root_);
    for (const std::string& name : TRY(sys::list_directory(directory))) {
        const std::string digest = fmt::format("sha256:{}", name);
        if (!is_digest(digest)) continue;
        const auto info = TRY(sys::stat(fmt::format("{}/{}", directory, name)));
        blobs.push_back({digest, static_cast<std::uint64_t>(info.st_size)});
    }
    return blobs;
}

Result<std::uint64_t> BlobStore::remove_partials() const {
    std::uint64_t freed = 0;
    const std::string directory = fmt::format("{}/ingest", root_);
    for (const std::string& name : TRY(sys::list_directory(directory)))
        if (name.ends_with(partial_suffix))
            freed += TRY(remove_unwritten(fmt::format("{}/{}", directory, name)));
    return freed;
}

Result<std::uint64_t> BlobStore::remove_partial(const std::string& digest) const {
    TRY(check_digest(digest));
    return remove_unwritten(partial_path(root_, digest));
}

}  // namespace corten::storage
