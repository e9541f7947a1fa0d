#include "directory_times.hpp"

#include <storage/stream.hpp>
#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace corten::storage {

namespace {

constexpr std::size_t buffer_limit = 1 << 20;
constexpr std::size_t memory_limit = 64 << 20;
constexpr const char* file_name = "times";

struct Head {
    std::int64_t seconds;
    std::uint32_t nanoseconds;
    std::uint32_t length;  ///< of the path
};

/// Visits what is whole in `bytes`; gives how much that was.
Result<std::size_t> visit_whole(std::string_view bytes, const DirectoryTimes::Visitor& visit) {
    std::size_t at = 0;
    Head head{};
    while (bytes.size() - at >= sizeof head) {
        std::memcpy(&head, bytes.data() + at, sizeof head);
        if (bytes.size() - at - sizeof head < head.length) break;
        const std::string path(bytes.substr(at + sizeof head, head.length));
        TRY(visit(path, {head.seconds, head.nanoseconds}));
        at += sizeof head + head.length;
    }
    return at;
}

}  // namespace

Result<void> DirectoryTimes::add(std::string_view path, timespec mtime) {
    const Head head{.seconds = mtime.tv_sec,
                    .nanoseconds = static_cast<std::uint32_t>(mtime.tv_nsec),
                    .length = static_cast<std::uint32_t>(path.size())};
    buffer_.append(reinterpret_cast<const char*>(&head), sizeof head).append(path);
    if (place_.valid() && buffer_.size() > buffer_limit) return spill();
    if (buffer_.size() <= memory_limit) return {};
    return fail(ErrorKind::invalid,
                "the paths of the archive's directories take more than {} bytes", memory_limit);
}

Result<void> DirectoryTimes::spill() {
    if (!file_) {
        file_ = TRY(sys::open_at(place_, file_name, O_RDWR | O_CREAT | O_EXCL, 0600));
        if (::unlinkat(place_.raw(), file_name, 0) < 0) return fail_errno("remove {}", file_name);
    }
    TRY(sys::write_all(file_, buffer_));
    buffer_.clear();
    return {};
}

Result<void> DirectoryTimes::for_each(const Visitor& visit) {
    if (file_) {
        if (::lseek(file_.raw(), 0, SEEK_SET) < 0) return fail_errno("seek in {}", file_name);
        FdSource source(file_);
        std::string part;
        for (auto more = TRY(source.next()); !more.empty(); more = TRY(source.next())) {
            part.append(more);
            part.erase(0, TRY(visit_whole(part, visit)));
        }
    }
    TRY(visit_whole(buffer_, visit));
    return {};
}

}  // namespace corten::storage
