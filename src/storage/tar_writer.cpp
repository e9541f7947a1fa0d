#include "tar_fields.hpp"

#include <storage/tar.hpp>

#include <algorithm>
#include <array>
#include <cstring>

namespace corten::storage {

using namespace tar_fields;

namespace {

using Block = std::array<char, block_size>;
constexpr Block zeros{};

void put(Block& block, Field field, std::string_view text) {
    std::memcpy(block.data() + field.offset, text.data(), std::min(text.size(), field.length));
}

/// Octal with a NUL at the end; false when it does not fit.
bool put_octal(Block& block, Field field, std::int64_t value) {
    const std::string text =
        fmt::format("{:0{}o}", std::max<std::int64_t>(value, 0), field.length - 1);
    if (value < 0 || text.size() > field.length - 1) {
        put(block, field, std::string(field.length - 1, '0'));
        return false;
    }
    put(block, field, text);
    return true;
}

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0 && c < 127; });
}

/// Splits a long name at a slash into prefix and name; false when it cannot be.
bool put_name(Block& block, std::string_view path) {
    if (path.size() <= header::name.length) {
        put(block, header::name, path);
        return true;
    }
    const auto from = path.size() - header::name.length - 1;
    const auto slash = path.find('/', from);
    if (slash == std::string_view::npos || slash == 0 || slash > header::prefix.length ||
        slash + 1 == path.size()) {
        put(block, header::name, path.substr(0, header::name.length));
        return false;
    }
    put(block, header::prefix, path.substr(0, slash));
    put(block, header::name, path.substr(slash + 1));
    return true;
}

char flag_of(EntryType type) {
    switch (type) {
        case EntryType::file:
            return '0';
        case EntryType::hard_link:
            return '1';
        case EntryType::symlink:
            return '2';
        case EntryType::character_device:
            return '3';
        case EntryType::block_device:
            return '4';
        case EntryType::directory:
            return '5';
        case EntryType::fifo:
            return '6';
    }
    return '0';
}

std::string time_text(const timespec& time) {
    // A pax time is a decimal fraction: -0.25 s is stored by the kernel as -1 s + 750,000,000 ns.
    if (time.tv_sec < 0 && time.tv_nsec > 0)
        return fmt::format("-{}.{:09}", -(time.tv_sec + 1), 1'000'000'000 - time.tv_nsec);
    if (time.tv_nsec == 0) return fmt::format("{}", time.tv_sec);
    return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

void finish_checksum(Block& block) {
    put(block, header::checksum, fmt::format("{:06o}", computed_checksum(block.data())));
    block[header::checksum.offset + 6] = 0;
    block[header::checksum.offset + 7] = ' ';
}

std::string sparse_map(const std::vector<Extent>& extents) {
    std::string map = fmt::format("{}\n", extents.size());
    for (const Extent& extent : extents)
        fmt::format_to(std::back_inserter(map), "{}\n{}\n", extent.offset, extent.length);
    map.resize((map.size() + block_size - 1) / block_size * block_size, '\0');
    return map;
}

std::uint64_t data_size(const std::vector<Extent>& extents) {
    std::uint64_t total = 0;
    for (const Extent& extent : extents) total += extent.length;
    return total;
}

/// Fills a header; what does not fit goes into `pax`.
Block make_header(const TarEntry& entry, char type, std::uint64_t stored_size, std::string& pax) {
    Block block{};
    put(block, header::magic, std::string_view("ustar\00000", 8));
    block[type_offset] = type;
    if (!put_name(block, entry.name) || !is_ascii(entry.name)) append_pax(pax, "path", entry.name);
    put(block, header::link, entry.link);
    if (entry.link.size() > header::link.length || !is_ascii(entry.link))
        append_pax(pax, "linkpath", entry.link);
    put_octal(block, header::mode, entry.mode & 07777);
    if (!put_octal(block, header::uid, entry.uid))
        append_pax(pax, "uid", fmt::format("{}", entry.uid));
    if (!put_octal(block, header::gid, entry.gid))
        append_pax(pax, "gid", fmt::format("{}", entry.gid));
    if (!put_octal(block, header::size, static_cast<std::int64_t>(stored_size)))
        append_pax(pax, "size", fmt::format("{}", stored_size));
    if (!put_octal(block, header::mtime, entry.mtime.tv_sec) || entry.mtime.tv_nsec != 0)
        append_pax(pax, "mtime", time_text(entry.mtime));
    put_octal(block, header::device_major, entry.device_major);
    put_octal(block, header::device_minor, entry.device_minor);
    finish_checksum(block);
    return block;
}

}  // namespace

Result<void> TarWriter::begin(const TarEntry& given) {
    TarEntry entry = given;
    if (!nanoseconds_) entry.mtime.tv_nsec = 0;
    std::string map;
    std::uint64_t stored = entry.type == EntryType::file ? entry.size : 0;
    if (entry.extents) {
        map = sparse_map(*entry.extents);
        remaining_ = data_size(*entry.extents);
        stored = remaining_ + map.size();
    } else {
        remaining_ = stored;
    }
    stored_ = stored;
    TRY(write_header(entry, flag_of(entry.type), stored));
    return out_.write(map);
}

Result<void> TarWriter::write_header(const TarEntry& entry, char type, std::uint64_t stored_size) {
    std::string pax;
    const Block header = make_header(entry, type, stored_size, pax);
    for (const auto& [key, value] : entry.xattrs)
        append_pax(pax, fmt::format("SCHILY.xattr.{}", key), value);
    if (entry.extents) {
        append_pax(pax, "GNU.sparse.major", "1");
        append_pax(pax, "GNU.sparse.minor", "0");
        append_pax(pax, "GNU.sparse.name", entry.name);
        append_pax(pax, "GNU.sparse.realsize", fmt::format("{}", entry.size));
    }
    if (!pax.empty()) {
        TarEntry extension;
        const std::string base = entry.name.substr(
            entry.name.find_last_of('/', entry.name.empty() ? 0 : entry.name.size() - 2) + 1);
        extension.name = fmt::format("PaxHeaders.0/{}", base.substr(0, 80));
        extension.mode = 0644;
        std::string unused;
        const Block block = make_header(extension, 'x', pax.size(), unused);
        TRY(out_.write({block.data(), block.size()}));
        TRY(out_.write(pax));
        TRY(write_padding(pax.size()));
    }
    return out_.write({header.data(), header.size()});
}

Result<void> TarWriter::write_data(std::string_view bytes) {
    if (bytes.size() > remaining_)
        return fail(ErrorKind::internal, "tar entry gets more content than its size says");
    remaining_ -= bytes.size();
    return out_.write(bytes);
}

Result<void> TarWriter::end() {
    if (remaining_ != 0)
        return fail(ErrorKind::internal, "tar entry lacks {} bytes of its content", remaining_);
    return write_padding(stored_);
}

Result<void> TarWriter::write_padding(std::uint64_t size) {
    const std::size_t padding = (block_size - size % block_size) % block_size;
    return out_.write({zeros.data(), padding});
}

Result<void> TarWriter::finish() {
    TRY(out_.write({zeros.data(), zeros.size()}));
    return out_.write({zeros.data(), zeros.size()});
}

}  // namespace corten::storage
