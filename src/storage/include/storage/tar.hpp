#pragma once
// Tar reading and writing: POSIX ustar and pax (IEEE 1003.1), GNU (long names, base-256 numbers,
// old and pax sparse files), star, v7. Own code instead of a library's, because re-creating a layer
// byte for byte needs to know which bytes are framing, and because names are bytes, not text in
// some locale.
#include <base/result.hpp>
#include <storage/stream.hpp>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::storage {

enum class EntryType { file, hard_link, symlink, character_device, block_device, directory, fifo };

/// A run of data in a sparse file.
struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

struct TarEntry {
    EntryType type = EntryType::file;
    std::string name;  ///< as it stands in the archive: any bytes but NUL, not cleaned
    std::string link;  ///< target of a symlink; archive name of a hard link's target
    mode_t mode = 0;   ///< permission bits, setuid, setgid, sticky
    uid_t uid = 0;
    gid_t gid = 0;
    std::uint64_t size = 0;  ///< of the file when unpacked, holes included
    timespec mtime{};
    unsigned device_major = 0;
    unsigned device_minor = 0;
    std::vector<std::pair<std::string, std::string>> xattrs;
    /// Set for a sparse file: where the payload's bytes belong. Ascending, within size.
    std::optional<std::vector<Extent>> extents;
};

/// Sees the archive's bytes in order, each once: framing (headers, padding, the end and what
/// follows it) and the payload of files. See record.hpp.
class TarObserver {
public:
    virtual ~TarObserver() = default;
    virtual Result<void> framing(std::string_view bytes) = 0;
};

/// Reads entries one after another. Errors are `corrupt` and name the entry and the offset.
class TarReader {
public:
    /// Borrows both.
    explicit TarReader(Source& source, TarObserver* observer = nullptr);
    TarReader(const TarReader&) = delete;
    TarReader& operator=(const TarReader&) = delete;

    /// The next entry, or nullptr at the end of the archive. Skips what is left of the last one's
    /// payload. The entry is valid until the next call. Global pax headers are skipped, as docker
    /// does.
    Result<const TarEntry*> next();
    /// The next piece of the entry's payload as it is stored (a sparse file's holes are not in it);
    /// empty at its end. Valid until the next call.
    Result<std::string_view> data();
    /// Bytes of payload that data() has not given yet.
    std::uint64_t remaining() const { return remaining_; }
    /// Gives the rest of the payload to the observer as framing instead of to the caller.
    Result<void> skip_data();
    /// Reads the source to its end, after next() gave nullptr: trailing bytes belong to the diff
    /// id.
    Result<void> drain();
    std::uint64_t offset() const { return offset_; }

private:
    struct Extensions;
    Result<bool> read_block();  // false at the end of the source
    Result<std::string_view> take(std::size_t limit);
    Result<std::string> read_extension(std::uint64_t size);
    Result<bool> read_header(Extensions& extensions);
    Result<void> finish_payload();
    Result<void> parse_header(Extensions& extensions);
    Result<void> read_sparse(Extensions& extensions);
    Result<std::vector<Extent>> read_old_sparse_map();
    Result<std::vector<Extent>> read_pax_sparse_map();
    Result<void> check_sparse() const;
    Error broken(std::string_view what) const;

    Source& source_;
    TarObserver* observer_;
    std::string_view pending_;  // what the source gave and was not used yet
    bool source_ended_ = false;
    char block_[512];
    TarEntry entry_;
    std::uint64_t remaining_ = 0;
    std::uint64_t padding_ = 0;
    std::uint64_t offset_ = 0;
    bool done_ = false;
};

/// Writes pax archives: plain ustar headers where they can say everything, a pax header in front
/// where not (long or non-ASCII names, big numbers, xattrs, sparse files as GNU pax 1.0).
class TarWriter {
public:
    explicit TarWriter(Sink& out) : out_(out) {}
    /// Seconds only unless set: docker's layers have no fractions, and each would cost 1 KiB.
    void keep_nanoseconds() { nanoseconds_ = true; }
    /// The header of an entry; entry.size bytes of write_data() follow for a file (for a sparse one
    /// the sum of its extents).
    Result<void> begin(const TarEntry& entry);
    Result<void> write_data(std::string_view bytes);
    /// Padding of the entry; an error when the data was not complete.
    Result<void> end();
    /// The two zero blocks.
    Result<void> finish();

private:
    Result<void> write_header(const TarEntry& entry, char type, std::uint64_t stored_size);
    Result<void> write_padding(std::uint64_t size);
    Sink& out_;
    bool nanoseconds_ = false;
    std::uint64_t remaining_ = 0;
    std::uint64_t stored_ = 0;
};

}  // namespace corten::storage
