#include "files.hpp"
#include "tail.hpp"

#include <sys/inotify.h>
#include <sys/timerfd.h>

#include <logfile/reader.hpp>
#include <unistd.h>

#include <cstring>
#include <deque>

namespace corten::logfile {

namespace {

constexpr std::size_t read_size = 64 << 10;

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// The directory rather than the file: the log may not exist yet, and rotation makes new ones.
Fd watch_directory(const std::string& path) {
    Fd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!notify) return notify;
    const auto wanted = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF;
    if (::inotify_add_watch(notify.raw(), directory_of(path).c_str(), wanted) < 0) return Fd();
    return notify;
}

Result<Fd> start_ticking() {
    Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return fail_errno("timerfd_create");
    const timespec fifth{0, 200'000'000};
    const itimerspec every{fifth, fifth};
    if (::timerfd_settime(timer.raw(), 0, &every, nullptr) < 0)
        return fail_errno("timerfd_settime");
    return timer;
}

}  // namespace

struct Reader::State {
    std::string path;
    ReadOptions options;
    std::deque<OpenFile> later;  // opened already, to be read after the current one
    OpenFile current;
    std::int64_t offset = 0;  // in the current file, of what is read next
    bool replaced = false;    // the current file is no longer written to
    std::string buffer;
    std::size_t used = 0;  // of the buffer
    Decoder decoder;
    Entry entry;
    bool finished = false;
    std::int64_t skipped = 0;
    Fd watch;

    void switch_to(OpenFile file, std::int64_t at = 0) {
        current = std::move(file);
        offset = at;
        replaced = false;
        buffer.clear();
        used = 0;
    }

    /// More bytes of the current file. 0 at its end.
    Result<std::size_t> fill() {
        buffer.erase(0, used);
        used = 0;
        const std::size_t kept = buffer.size();
        buffer.resize(kept + read_size);
        const ssize_t got = ::pread(current.fd.raw(), buffer.data() + kept, read_size, offset);
        buffer.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0) return fail_errno("read {}", path);
        offset += got;
        return static_cast<std::size_t>(got);
    }

    /// The writer takes back what did not fit on a full disk: go on from the end it went back to.
    Result<void> follow_truncation() {
        const std::int64_t size = TRY(size_of(current.fd));
        if (size >= offset) return {};
        offset = size;
        buffer.clear();
        used = 0;
        return {};
    }

    /// At the end of the current file: true when there is another place to read from.
    Result<bool> advance() {
        if (!later.empty()) {
            switch_to(std::move(later.front()));
            later.pop_front();
            return true;
        }
        if (!current.fd) {
            // The log has come to be since: its writer may have rotated already.
            for (auto& file : TRY(open_all(path))) later.push_back(std::move(file));
            return !later.empty();
        }
        OpenFile successor = TRY(open_successor(path, current.id));
        if (!successor.fd) {
            TRY(follow_truncation());
            return false;
        }
        // Lines may have come between the last read and the rotation: read once more to the end,
        // which now is final.
        if (!std::exchange(replaced, true)) return true;
        switch_to(std::move(successor));
        return true;
    }

    /// The next line without its line feed, or nullopt when none is complete.
    Result<std::optional<std::string_view>> next_line() {
        for (;;) {
            const std::string_view rest = std::string_view(buffer).substr(used);
            const auto feed = rest.find('\n');
            if (feed != std::string_view::npos) {
                used += feed + 1;
                return std::optional(rest.substr(0, feed));
            }
            if (current.fd && TRY(fill()) > 0) continue;
            if (!TRY(advance())) return std::optional<std::string_view>();
        }
    }

    bool wanted() {
        if (options.until && entry.time > *options.until) {
            finished = true;
            return false;
        }
        if (options.since && entry.time < *options.since) return false;
        return entry.stream == Stream::out ? options.out : options.err;
    }
};

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const std::string& path, ReadOptions options) {
    auto state = std::make_unique<State>();
    state->path = path;
    state->options = options;
    auto files = TRY(open_all(path));
    TailPosition begin;
    if (options.tail >= 0) begin = TRY(find_tail(files, options.tail));
    for (std::size_t i = begin.file; i < files.size(); ++i)
        state->later.push_back(std::move(files[i]));
    if (!state->later.empty()) {
        state->switch_to(std::move(state->later.front()), begin.offset);
        state->later.pop_front();
    }
    return Reader(std::move(state));
}

Result<const Entry*> Reader::next() {
    while (!state_->finished) {
        const auto line = TRY(state_->next_line());
        if (!line) break;
        if (!state_->decoder.decode(*line, state_->entry))
            ++state_->skipped;
        else if (state_->wanted())
            return &state_->entry;
    }
    return nullptr;
}

bool Reader::finished() const {
    return state_->finished;
}
std::int64_t Reader::skipped() const {
    return state_->skipped;
}

Result<FdView> Reader::changes() {
    if (!state_->watch) state_->watch = watch_directory(state_->path);
    if (!state_->watch) state_->watch = TRY(start_ticking());
    return FdView(state_->watch);
}

void Reader::clear_changes() {
    char ignored[4096];
    while (state_->watch && ::read(state_->watch.raw(), ignored, sizeof ignored) > 0) continue;
}

}  // namespace corten::logfile
