#pragma once
// What the tests of this library share: a directory that goes away, and archives of any kind.
#include <base/ids.hpp>
#include <storage/stream.hpp>
#include <storage/tar.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#define ASSERT_OK(expression)                                          \
    do {                                                               \
        const auto& result_ = (expression);                            \
        ASSERT_TRUE(result_.has_value()) << result_.error().message(); \
    } while (false)
#define EXPECT_OK(expression)                                          \
    do {                                                               \
        const auto& result_ = (expression);                            \
        EXPECT_TRUE(result_.has_value()) << result_.error().message(); \
    } while (false)
#define EXPECT_ERROR(expression, wanted)                                               \
    do {                                                                               \
        const auto& result_ = (expression);                                            \
        ASSERT_FALSE(result_.has_value());                                             \
        EXPECT_EQ(result_.error().kind(), wanted)                                      \
            << to_string(result_.error().kind()) << ": " << result_.error().message(); \
    } while (false)

/// Ends the test, in its SetUp() too, where the kernel lacks what `result` is about.
#define SKIP_IF_UNSUPPORTED(expression)                                           \
    do {                                                                          \
        const auto& tried_ = (expression);                                        \
        if (!tried_ && tried_.error().kind() == ::corten::ErrorKind::unsupported) \
            GTEST_SKIP() << tried_.error().message();                             \
        ASSERT_OK(tried_);                                                        \
    } while (false)

namespace corten::storage::testing {

class TemporaryDirectory {
public:
    TemporaryDirectory() : path_("/tmp/corten-storage-" + random_hex(6)) {
        EXPECT_EQ(::mkdir(path_.c_str(), 0755), 0);
        fd_ = sys::open(path_, O_RDONLY | O_DIRECTORY).value();
    }
    ~TemporaryDirectory() {
        // rm copes with trees deeper than PATH_MAX, too.
        EXPECT_EQ(::system(("rm -rf --one-file-system " + path_).c_str()), 0);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::string& path() const { return path_; }
    std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
    FdView fd() const { return fd_; }

private:
    std::string path_;
    Fd fd_;
};

inline std::string read(const std::string& path) {
    return sys::read_file(path).value_or("<unreadable>");
}
inline void write(const std::string& path, std::string_view bytes) {
    EXPECT_OK(sys::write_file_atomic(path, bytes));
}
inline struct ::stat lstat_of(const std::string& path) {
    struct ::stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info;
}
inline bool present(const std::string& path) {
    struct ::stat info{};
    return ::lstat(path.c_str(), &info) == 0;
}
inline int shell(const std::string& command) {
    return ::system(command.c_str());
}

inline TarEntry entry(EntryType type, std::string name, mode_t mode = 0644) {
    TarEntry result;
    result.type = type;
    result.name = std::move(name);
    result.mode = mode;
    result.mtime = {1'700'000'000, 0};
    return result;
}

/// Archives entry by entry.
class TarText {
public:
    TarText() : sink_(text_), writer_(sink_) { writer_.keep_nanoseconds(); }
    TarText& add(const TarEntry& item, std::string_view content = {}) {
        TarEntry sized = item;
        if (!sized.extents) sized.size = content.size();
        EXPECT_OK(writer_.begin(sized));
        EXPECT_OK(writer_.write_data(content));
        EXPECT_OK(writer_.end());
        return *this;
    }
    TarText& file(std::string name, std::string_view content = {}, mode_t mode = 0644) {
        return add(entry(EntryType::file, std::move(name), mode), content);
    }
    TarText& directory(std::string name, mode_t mode = 0755) {
        return add(entry(EntryType::directory, std::move(name), mode));
    }
    TarText& symlink(std::string name, std::string target) {
        TarEntry item = entry(EntryType::symlink, std::move(name), 0777);
        item.link = std::move(target);
        return add(item);
    }
    TarText& hard_link(std::string name, std::string target) {
        TarEntry item = entry(EntryType::hard_link, std::move(name));
        item.link = std::move(target);
        return add(item);
    }
    std::string finish() {
        EXPECT_OK(writer_.finish());
        return text_;
    }

private:
    std::string text_;
    StringSink sink_;
    TarWriter writer_;
};

/// Gives a text in pieces of a fixed size, to find errors at the seams.
class PieceSource final : public Source {
public:
    PieceSource(std::string_view text, std::size_t piece) : text_(text), piece_(piece) {}
    Result<std::string_view> next() override {
        const std::string_view part = text_.substr(0, piece_);
        text_.remove_prefix(part.size());
        return part;
    }

private:
    std::string_view text_;
    std::size_t piece_;
};

}  // namespace corten::storage::testing
