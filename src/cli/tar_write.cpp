#include "path_rules.hpp"
#include "tar.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>

namespace corten::cli {

namespace {

struct Item {
    std::string path;  ///< on this machine
    std::string name;  ///< in the archive
};

/// Writes one entry after another into a buffer, as much as a reader asks for.
class TarWriter {
public:
    TarWriter() : archive_(::archive_write_new()), entry_(::archive_entry_new()) {
        ::archive_write_set_format_pax_restricted(archive_.get());
        ::archive_write_set_bytes_per_block(archive_.get(), 0);
        ::archive_write_open2(archive_.get(), this, nullptr, &TarWriter::keep, nullptr, nullptr);
    }
    TarWriter(const TarWriter&) = delete;
    TarWriter& operator=(const TarWriter&) = delete;

    void add(Item item) { waiting_.push_back(std::move(item)); }

    Result<std::size_t> read(std::span<char> out) {
        while (buffer_.size() == given_ && !finished_) TRY(step());
        const std::size_t count = std::min(out.size(), buffer_.size() - given_);
        std::copy_n(buffer_.data() + given_, count, out.data());
        given_ += count;
        if (given_ == buffer_.size()) {
            buffer_.clear();
            given_ = 0;
        }
        return count;
    }

private:
    static la_ssize_t keep(archive*, void* self, const void* bytes, std::size_t size) {
        static_cast<TarWriter*>(self)->buffer_.append(static_cast<const char*>(bytes), size);
        return static_cast<la_ssize_t>(size);
    }

    Result<void> check(int code, const std::string& path) const {
        if (code >= ARCHIVE_WARN) return {};
        return fail(ErrorKind::io, "{}: {}", path, ::archive_error_string(archive_.get()));
    }

    Result<void> step() {
        if (file_.valid()) return more_of_file();
        if (waiting_.empty()) {
            finished_ = true;
            return check(::archive_write_close(archive_.get()), "archive");
        }
        const Item item = std::move(waiting_.back());
        waiting_.pop_back();
        return write_header(item);
    }

    Result<void> write_header(const Item& item) {
        struct ::stat info{};
        if (::lstat(item.path.c_str(), &info) != 0) return fail_errno("lstat {}", item.path);
        if (S_ISSOCK(info.st_mode)) return {};  // a socket means nothing elsewhere
        ::archive_entry_clear(entry_.get());
        ::archive_entry_copy_stat(entry_.get(), &info);
        ::archive_entry_copy_pathname(entry_.get(), item.name.c_str());
        // libarchive 3.6 writes -1.5 s, kept as -2 s and 500 ms, as "-2.5".
        if (info.st_mtim.tv_sec < 0)
            ::archive_entry_set_mtime(entry_.get(), info.st_mtim.tv_sec, 0);
        if (S_ISDIR(info.st_mode) || !links_to_earlier_name(item, info))
            TRY(add_content(item, info));
        return check(::archive_write_header(archive_.get(), entry_.get()), item.path);
    }

    Result<void> add_content(const Item& item, const struct ::stat& info) {
        if (S_ISLNK(info.st_mode)) return set_symlink(item.path);
        if (S_ISREG(info.st_mode)) TRY(open_file(item, info));
        if (S_ISDIR(info.st_mode)) TRY(queue_children(item));
        if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) return add_xattrs(item.path);
        return {};
    }

    /// Those that belong to a file and not to the machine, as a security module's labels do.
    Result<void> add_xattrs(const std::string& path) {
        std::string names(64 << 10, '\0');
        const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
        if (size < 0 && errno == ENOTSUP) return {};
        if (size < 0) return fail_errno("list the extended attributes of {}", path);
        names.resize(static_cast<std::size_t>(size));
        std::string value(64 << 10, '\0');
        for (const std::string& name : split(names, '\0')) {
            if (name != "security.capability" && !name.starts_with("user.")) continue;
            const ssize_t count =
                ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
            if (count < 0) return fail_errno("read {} of {}", name, path);
            ::archive_entry_xattr_add_entry(entry_.get(), name.c_str(), value.data(),
                                            static_cast<std::size_t>(count));
        }
        return {};
    }

    Result<void> set_symlink(const std::string& path) {
        char target[4096];
        const ssize_t length = ::readlink(path.c_str(), target, sizeof target - 1);
        if (length < 0) return fail_errno("readlink {}", path);
        target[length] = '\0';
        ::archive_entry_copy_symlink(entry_.get(), target);
        return {};
    }

    /// The second name of a file becomes a hard link to the first.
    bool links_to_earlier_name(const Item& item, const struct ::stat& info) {
        if (info.st_nlink <= 1) return false;
        const auto [known, added] = first_names_.try_emplace({info.st_dev, info.st_ino}, item.name);
        if (added) return false;
        ::archive_entry_copy_hardlink(entry_.get(), known->second.c_str());
        ::archive_entry_set_size(entry_.get(), 0);
        return true;
    }

    Result<void> open_file(const Item& item, const struct ::stat& info) {
        if (info.st_size == 0) return {};
        file_ = TRY(sys::open(item.path, O_RDONLY | O_NOFOLLOW));
        left_ = info.st_size;
        name_ = item.path;
        return {};
    }

    Result<void> queue_children(const Item& item) {
        auto names = TRY(sys::list_directory(item.path));
        std::ranges::sort(names, std::greater<>());
        for (const std::string& name : names)
            waiting_.push_back({item.path + "/" + name, item.name + "/" + name});
        return {};
    }

    /// A file that shrinks while it is read would break the archive's framing.
    Result<void> more_of_file() {
        std::vector<char> chunk(static_cast<std::size_t>(std::min<off_t>(left_, 128 << 10)));
        const std::size_t count = TRY(sys::read_some(file_, chunk));
        if (count == 0)
            return fail(ErrorKind::io, "{}: the file became shorter while it was read", name_);
        if (::archive_write_data(archive_.get(), chunk.data(), count) < 0)
            return fail(ErrorKind::io, "{}: {}", name_, ::archive_error_string(archive_.get()));
        left_ -= static_cast<off_t>(count);
        if (left_ == 0) file_.reset();
        return {};
    }

    struct Free {
        void operator()(archive* a) const { ::archive_write_free(a); }
        void operator()(archive_entry* e) const { ::archive_entry_free(e); }
    };
    std::string buffer_;
    std::size_t given_ = 0;
    std::unique_ptr<archive, Free> archive_;  // writes into buffer_, also when it is freed
    std::unique_ptr<archive_entry, Free> entry_;
    std::vector<Item> waiting_;  ///< a stack: the next is the last
    std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
    Fd file_;
    off_t left_ = 0;
    std::string name_;
    bool finished_ = false;
};

}  // namespace

Result<ByteSource> tar_of(const std::string& path, const std::string& name) {
    auto writer = std::make_shared<TarWriter>();
    const bool directory = TRY(is_directory_here(path));
    const bool content = directory && (ends_in_dot(path) || ends_in_slash(path));
    // With the slash a symlink to the directory is followed.
    writer->add({content ? without_dot(path) + "/" : without_dot(path), name});
    return ByteSource([writer](std::span<char> out) { return writer->read(out); });
}

}  // namespace corten::cli
