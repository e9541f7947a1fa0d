#include "tar_fields.hpp"

#include <base/text.hpp>
#include <storage/tar.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

namespace corten::storage {

using namespace tar_fields;

namespace {

constexpr std::size_t extent_limit = 1 << 20;

bool has_payload(char type) {
    // Size fields of other types are meaningless (hard links of old archives carry the file's).
    return !(type >= '1' && type <= '6');
}

std::uint64_t padding_of(std::uint64_t size) {
    return (block_size - size % block_size) % block_size;
}

Result<EntryType> type_of(char flag, std::string_view name) {
    switch (flag) {
        case '\0':
            return name.ends_with('/') ? EntryType::directory : EntryType::file;
        case '0':
        case '7':
        case 'S':
            return EntryType::file;
        case '1':
            return EntryType::hard_link;
        case '2':
            return EntryType::symlink;
        case '3':
            return EntryType::character_device;
        case '4':
            return EntryType::block_device;
        case '5':
            return EntryType::directory;
        case '6':
            return EntryType::fifo;
        default:
            break;
    }
    return fail(ErrorKind::corrupt, "unknown entry type '{}'",
                flag >= ' ' && flag < 127 ? std::string(1, flag) : fmt::format("\\x{:02x}", flag));
}

}  // namespace

// The header's own name for what tar_fields collects, so that tar.hpp need not know that file.
struct TarReader::Extensions : tar_fields::Extensions {};

TarReader::TarReader(Source& source, TarObserver* observer)
    : source_(source), observer_(observer) {}

Error TarReader::broken(std::string_view what) const {
    return fail(ErrorKind::corrupt, "tar entry \"{}\" before byte {}: {}",
                std::string_view(entry_.name).substr(0, 200), offset_, what);
}

Result<std::string_view> TarReader::take(std::size_t limit) {
    if (pending_.empty() && !source_ended_) {
        pending_ = TRY(source_.next());
        source_ended_ = pending_.empty();
    }
    const std::string_view bytes = pending_.substr(0, limit);
    pending_.remove_prefix(bytes.size());
    offset_ += bytes.size();
    return bytes;
}

Result<bool> TarReader::read_block() {
    std::size_t have = 0;
    while (have < block_size) {
        const std::string_view bytes = TRY(take(block_size - have));
        if (bytes.empty() && have == 0) return false;
        if (bytes.empty()) return broken("the archive stops inside a block");
        std::memcpy(block_ + have, bytes.data(), bytes.size());
        have += bytes.size();
    }
    if (observer_) TRY(observer_->framing({block_, block_size}));
    return true;
}

Result<std::string_view> TarReader::data() {
    const auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, SIZE_MAX));
    if (limit == 0) return std::string_view();
    const std::string_view bytes = TRY(take(limit));
    if (bytes.empty()) return broken("the archive stops inside the content");
    remaining_ -= bytes.size();
    return bytes;
}

Result<void> TarReader::skip_data() {
    for (;;) {
        const std::string_view bytes = TRY(data());
        if (bytes.empty()) return {};
        if (observer_) TRY(observer_->framing(bytes));
    }
}

Result<void> TarReader::finish_payload() {
    TRY(skip_data());
    while (padding_ > 0) {
        const std::string_view bytes = TRY(take(padding_));
        if (bytes.empty()) return broken("the archive stops inside padding");
        if (observer_) TRY(observer_->framing(bytes));
        padding_ -= bytes.size();
    }
    return {};
}

Result<void> TarReader::drain() {
    for (;;) {
        const std::string_view bytes = TRY(take(SIZE_MAX));
        if (bytes.empty()) return {};
        if (observer_) TRY(observer_->framing(bytes));
    }
}

Result<std::string> TarReader::read_extension(std::uint64_t size) {
    if (size > extension_limit) return broken("extension header is larger than 1 MiB");
    std::string text;
    remaining_ = size;
    padding_ = padding_of(size);
    while (remaining_ > 0) {
        const std::string_view bytes = TRY(data());
        if (observer_) TRY(observer_->framing(bytes));
        text.append(bytes);
    }
    TRY(finish_payload());
    return text;
}

Result<const TarEntry*> TarReader::next() {
    if (done_) return nullptr;
    TRY(finish_payload());
    entry_ = TarEntry();
    Extensions extensions;
    if (!TRY(read_header(extensions))) {
        done_ = true;
        return nullptr;
    }
    TRY(parse_header(extensions));
    return &entry_;
}

/// Reads extension headers and the header they belong to; false at the end of the archive.
Result<bool> TarReader::read_header(Extensions& extensions) {
    for (;;) {
        if (!TRY(read_block())) return false;
        if (is_zero(block_)) {
            if (TRY(read_block()) && !is_zero(block_))
                return broken("a zero block stands between entries");
            return false;
        }
        if (!checksum_matches(block_)) return broken("header checksum does not match");
        const char type = block_[type_offset];
        if (std::string_view("xXgLK").find(type) == std::string_view::npos) return true;
        const auto size = number_of(block_, header::size);
        if (!size || *size < 0) return broken("bad size of an extension header");
        const std::string text = TRY(read_extension(static_cast<std::uint64_t>(*size)));
        if (type == 'L') extensions.gnu_name = text.substr(0, text.find('\0'));
        if (type == 'K') extensions.gnu_link = text.substr(0, text.find('\0'));
        if (type == 'x' || type == 'X')
            if (auto parsed = parse_pax(text, extensions); !parsed)
                return broken(parsed.error().message());
    }
}

namespace {

std::string header_name(const char* block) {
    std::string result(text_of(block, header::name));
    if (!bytes_of(block, header::magic).starts_with(std::string_view("ustar\0", 6))) return result;
    const bool star = bytes_of(block, star_trailer) == std::string_view("tar\0", 4);
    const std::string_view front = text_of(block, star ? star_prefix : header::prefix);
    return front.empty() ? result : fmt::format("{}/{}", front, result);
}

bool is_device(EntryType type) {
    return type == EntryType::character_device || type == EntryType::block_device;
}

Result<std::uint32_t> id_of(const char* block, Field field, std::optional<std::string_view> pax) {
    const std::int64_t value =
        pax ? static_cast<std::int64_t>(TRY(parse_unsigned(*pax))) : TRY(number_of(block, field));
    // The last one means "leave it" to chown(2).
    if (value < 0 || value >= std::numeric_limits<std::uint32_t>::max())
        return fail(ErrorKind::corrupt, "user or group id {} is out of range", value);
    return static_cast<std::uint32_t>(value);
}

Result<void> read_numbers(const char* block, const Extensions& pax, TarEntry& entry) {
    entry.mode = static_cast<mode_t>(TRY(number_of(block, header::mode)) & 07777);
    entry.uid = TRY(id_of(block, header::uid, pax.find("uid")));
    entry.gid = TRY(id_of(block, header::gid, pax.find("gid")));
    entry.mtime.tv_sec = TRY(number_of(block, header::mtime));
    if (const auto time = pax.find("mtime")) entry.mtime = TRY(parse_pax_time(*time));
    if (is_device(entry.type)) {
        entry.device_major = static_cast<unsigned>(TRY(number_of(block, header::device_major)));
        entry.device_minor = static_cast<unsigned>(TRY(number_of(block, header::device_minor)));
    }
    const std::int64_t size = TRY(number_of(block, header::size));
    if (size < 0) return fail(ErrorKind::corrupt, "negative size");
    entry.size = static_cast<std::uint64_t>(size);
    if (const auto text = pax.find("size")) entry.size = TRY(parse_unsigned(*text));
    return {};
}

void read_names(const char* block, const Extensions& pax, TarEntry& entry) {
    entry.name = header_name(block);
    entry.link = text_of(block, header::link);
    if (const auto path = pax.find("path")) entry.name = *path;
    if (const auto path = pax.find("linkpath")) entry.link = *path;
    if (const auto path = pax.find("GNU.sparse.name")) entry.name = *path;
    if (pax.gnu_name) entry.name = *pax.gnu_name;
    if (pax.gnu_link) entry.link = *pax.gnu_link;
}

}  // namespace

Result<void> TarReader::parse_header(Extensions& extensions) {
    read_names(block_, extensions, entry_);
    const char flag = block_[type_offset];
    const auto type = type_of(flag, entry_.name);
    if (!type) return broken(type.error().message());
    entry_.type = *type;
    if (auto read = read_numbers(block_, extensions, entry_); !read)
        return broken(read.error().message());
    entry_.xattrs = std::move(extensions.xattrs);
    if (!has_payload(flag)) entry_.size = 0;
    remaining_ = entry_.size;
    padding_ = padding_of(entry_.size);
    if (entry_.type == EntryType::file) return read_sparse(extensions);
    return {};
}

namespace {

Result<std::vector<Extent>> extents_of(const std::vector<std::string>& numbers) {
    if (numbers.size() % 2 != 0) return fail(ErrorKind::corrupt, "bad sparse map");
    std::vector<Extent> extents;
    for (std::size_t i = 0; i < numbers.size(); i += 2)
        extents.push_back({TRY(parse_unsigned(numbers[i])), TRY(parse_unsigned(numbers[i + 1]))});
    return extents;
}

}  // namespace

Result<void> TarReader::read_sparse(Extensions& pax) {
    Result<std::vector<Extent>> map = std::vector<Extent>();
    auto real_size = pax.find("GNU.sparse.realsize");
    if (block_[type_offset] == 'S') {
        const auto size = number_of(block_, gnu_real_size);
        if (!size || *size < 0) return broken("bad size of a sparse file");
        entry_.size = static_cast<std::uint64_t>(*size);
        map = read_old_sparse_map();
    } else if (pax.find("GNU.sparse.major") == "1" && pax.find("GNU.sparse.minor") == "0") {
        map = read_pax_sparse_map();
    } else if (const auto text = pax.find("GNU.sparse.map")) {
        map = extents_of(split(*text, ','));
        if (!real_size) real_size = pax.find("GNU.sparse.size");
    } else if (!pax.sparse_pairs.empty()) {
        map = extents_of(pax.sparse_pairs);
        if (!real_size) real_size = pax.find("GNU.sparse.size");
    } else {
        return {};
    }
    if (!map) return broken(map.error().message());
    if (real_size) {
        const auto size = parse_unsigned(*real_size);
        if (!size) return broken("bad size of a sparse file");
        entry_.size = *size;
    }
    entry_.extents = std::move(*map);
    return check_sparse();
}

Result<void> TarReader::check_sparse() const {
    std::uint64_t end = 0;
    std::uint64_t stored = 0;
    for (const Extent& extent : *entry_.extents) {
        if (extent.offset < end || extent.offset > entry_.size ||
            extent.length > entry_.size - extent.offset)
            return broken("sparse map is out of order or out of the file");
        end = extent.offset + extent.length;
        stored += extent.length;
    }
    if (stored != remaining_) return broken("sparse map does not fit the size");
    return {};
}

namespace {

/// Appends the map's entries at `at`; stops at the first empty one.
Result<void> old_sparse_entries(const char* at, std::size_t count, std::vector<Extent>& out) {
    for (std::size_t i = 0; i < count; ++i, at += 24) {
        if (at[0] == 0) return {};
        const std::int64_t offset = TRY(number({at, 12}));
        const std::int64_t length = TRY(number({at + 12, 12}));
        if (offset < 0 || length < 0) return fail(ErrorKind::corrupt, "bad sparse map");
        out.push_back({static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length)});
    }
    return {};
}

}  // namespace

Result<std::vector<Extent>> TarReader::read_old_sparse_map() {
    std::vector<Extent> extents;
    TRY(old_sparse_entries(block_ + gnu_sparse_offset, gnu_sparse_entries, extents));
    bool more = block_[gnu_extended_offset] != 0;
    while (more) {
        if (extents.size() > extent_limit)
            return fail(ErrorKind::corrupt, "sparse map is too long");
        if (!TRY(read_block())) return fail(ErrorKind::corrupt, "sparse map stops early");
        TRY(old_sparse_entries(block_, gnu_extension_entries, extents));
        more = block_[gnu_extension_flag] != 0;
    }
    return extents;
}

/// GNU pax format 1.0: decimal lines at the start of the content, padded to a block.
Result<std::vector<Extent>> TarReader::read_pax_sparse_map() {
    std::vector<std::string> numbers;
    std::string line;
    std::uint64_t wanted = 1;
    std::uint64_t used = 0;
    while (numbers.size() < wanted) {
        if (remaining_ < block_size || used > extension_limit)
            return fail(ErrorKind::corrupt, "bad sparse map");
        if (!TRY(read_block())) return fail(ErrorKind::corrupt, "sparse map stops early");
        remaining_ -= block_size;
        used += block_size;
        for (const char c : std::string_view(block_, block_size)) {
            if (numbers.size() == wanted) break;
            if (c != '\n') {
                line += c;
                continue;
            }
            numbers.push_back(std::exchange(line, {}));
            if (numbers.size() > 1) continue;
            const std::uint64_t count = TRY(parse_unsigned(numbers[0]));
            if (count > extent_limit) return fail(ErrorKind::corrupt, "sparse map is too long");
            wanted = 1 + 2 * count;
        }
    }
    numbers.erase(numbers.begin());
    return extents_of(numbers);
}

}  // namespace corten::storage
