#include "spool.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

namespace corten::image {

namespace {

/// An image has a few dozen files; an archive with millions is not one.
constexpr std::size_t most_files = 100'000;
/// Of one image: what overlayfs mounts, with some to spare.
constexpr std::uint64_t most_layers = 128;

/// "./a//b/../c" as "a/c"; names are compared in this form only.
std::string clean(std::string_view name) {
    std::vector<std::string> parts;
    for (const auto& part : split(name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..")
            parts.push_back(part);
        else if (!parts.empty())
            parts.pop_back();
    }
    return join(parts, "/");
}

std::string directory_of(const std::string& name) {
    const std::size_t slash = name.rfind('/');
    return slash == name.npos ? std::string() : name.substr(0, slash + 1);
}

}  // namespace

Spool::~Spool() {
    // What a failure leaves is removed with the next load.
    if (directory_) sys::remove_tree(*directory_).ignore();
}

Result<Spool> Spool::unpack(const std::string& root, storage::Source& source,
                            std::uint64_t most_bytes) {
    Spool spool(fmt::format("{}/load-{}", root, random_hex(8)), most_bytes);
    TRY(sys::make_directories(*spool.directory_, 0700));
    storage::TarReader tar(source);
    while (const auto* entry = TRY(tar.next().context("archive"))) {
        if (spool.entries_++ >= most_files)
            return fail(ErrorKind::invalid, "the archive holds more than {} files", most_files);
        TRY(spool.add(tar, *entry));
    }
    return spool;
}

Result<void> Spool::count(const std::string& name, std::uint64_t bytes) {
    if (most_bytes_ == 0) return {};
    if (bytes > most_bytes_)
        return fail(ErrorKind::forbidden, "{} has {} bytes, more than the {} of a layer", name,
                    bytes, most_bytes_);
    bytes_ += bytes;
    if (bytes_ / most_layers > most_bytes_)
        return fail(ErrorKind::forbidden, "the archive has more than {} layers of {} bytes",
                    most_layers, most_bytes_);
    return {};
}

Result<void> Spool::add(storage::TarReader& tar, const storage::TarEntry& entry) {
    const std::string name = clean(entry.name);
    if (entry.type == storage::EntryType::symlink)
        links_[name] = clean(directory_of(name) + entry.link);
    if (entry.type == storage::EntryType::hard_link) links_[name] = clean(entry.link);
    if (entry.type != storage::EntryType::file) return {};
    if (entry.extents) return fail(ErrorKind::invalid, "{} is a sparse file", name);
    TRY(count(name, entry.size));
    File file{.path = fmt::format("{}/{}", *directory_, entries_), .size = entry.size};
    const Fd out = TRY(sys::open(file.path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    for (auto bytes = TRY(tar.data()); !bytes.empty(); bytes = TRY(tar.data()))
        TRY(sys::write_all(out, bytes));
    files_.insert_or_assign(name, std::move(file));
    links_.erase(name);
    return {};
}

const Spool::File* Spool::find(const std::string& name) const {
    std::string key = clean(name);
    for (int hop = 0; hop < 8; ++hop) {
        if (const auto file = files_.find(key); file != files_.end()) return &file->second;
        const auto link = links_.find(key);
        if (link == links_.end()) return nullptr;
        key = link->second;
    }
    return nullptr;
}

Result<const Spool::File*> Spool::get(const std::string& name) const {
    const File* file = find(name);
    if (!file) return fail(ErrorKind::invalid, "the archive lacks {}", name);
    return file;
}

Result<Fd> Spool::open(const std::string& name) const {
    return sys::open(TRY(get(name))->path, O_RDONLY);
}

Result<std::uint64_t> Spool::size(const std::string& name) const {
    return TRY(get(name))->size;
}

Result<std::string> Spool::read(const std::string& name, std::size_t limit) const {
    return sys::read_file(TRY(get(name))->path, limit);
}

}  // namespace corten::image
