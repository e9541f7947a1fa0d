#include <storage/stream.hpp>
#include <sys/file.hpp>

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace corten::storage {

namespace {

constexpr std::size_t read_size = 128 << 10;

}  // namespace

FdSource::FdSource(FdView fd) : fd_(fd), buffer_(std::make_unique<char[]>(read_size)) {}

Result<std::string_view> FdSource::next() {
    const std::size_t n = TRY(sys::read_some(fd_, std::span(buffer_.get(), read_size)));
    return std::string_view(buffer_.get(), n);
}

Result<void> FdSink::write(std::string_view bytes) {
    return sys::write_all(fd_, bytes);
}

Result<std::uint64_t> copy(Source& source, Sink& sink) {
    std::uint64_t total = 0;
    for (;;) {
        const std::string_view bytes = TRY(source.next());
        if (bytes.empty()) return total;
        TRY(sink.write(bytes));
        total += bytes.size();
    }
}

namespace {

using Buffer = std::vector<char>;

/// A bounded queue of buffers between one writer and one reader. Buffers go round, so that a
/// stream of any length allocates `limits.chunks` of them.
class Pipe {
public:
    explicit Pipe(PipeLimits limits) : limits_(limits) {}

    /// An empty buffer to fill; nullopt once the reader is gone.
    std::optional<Buffer> take_free() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || in_flight_ < limits_.chunks; });
        if (closed_) return std::nullopt;
        ++in_flight_;
        if (free_.empty()) {
            Buffer fresh;
            fresh.reserve(limits_.chunk);
            return fresh;
        }
        Buffer buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    void push(Buffer buffer) {
        std::lock_guard lock(mutex_);
        full_.push_back(std::move(buffer));
        changed_.notify_all();
    }
    void end(Result<void> result) {
        std::lock_guard lock(mutex_);
        result_.emplace(std::move(result));
        changed_.notify_all();
    }
    /// The next full buffer; an empty one at the end. `used` is the one read before.
    Result<Buffer> pop(Buffer used) {
        std::unique_lock lock(mutex_);
        recycle(std::move(used));
        changed_.wait(lock, [&] { return !full_.empty() || result_; });
        if (!full_.empty()) {
            Buffer buffer = std::move(full_.front());
            full_.pop_front();
            return buffer;
        }
        if (!result_->has_value()) return result_->error();
        return Buffer();
    }
    void close() {
        std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }
    std::size_t chunk() const { return limits_.chunk; }

private:
    void recycle(Buffer used) {
        if (used.capacity() == 0) return;
        used.clear();
        free_.push_back(std::move(used));
        --in_flight_;
        changed_.notify_all();
    }

    const PipeLimits limits_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Buffer> full_;
    std::vector<Buffer> free_;
    std::size_t in_flight_ = 0;
    std::optional<Result<void>> result_;
    bool closed_ = false;
};

class PipeSink final : public Sink {
public:
    explicit PipeSink(Pipe& pipe) : pipe_(pipe) {}

    Result<void> write(std::string_view bytes) override {
        while (!bytes.empty()) {
            TRY(need_buffer());
            const std::size_t n = std::min(bytes.size(), pipe_.chunk() - buffer_->size());
            buffer_->insert(buffer_->end(), bytes.begin(), bytes.begin() + n);
            bytes.remove_prefix(n);
            if (buffer_->size() == pipe_.chunk()) flush();
        }
        return {};
    }
    void flush() {
        if (!buffer_ || buffer_->empty()) return;
        pipe_.push(std::move(*buffer_));
        buffer_.reset();
    }

private:
    Result<void> need_buffer() {
        if (!buffer_) buffer_ = pipe_.take_free();
        if (!buffer_) return fail(ErrorKind::cancelled, "the reader of the stream went away");
        return {};
    }

    Pipe& pipe_;
    std::optional<Buffer> buffer_;
};

class ProducedSource final : public Source {
public:
    ProducedSource(std::function<Result<void>(Sink&)> function, PipeLimits limits)
        : pipe_(limits), thread_([this, function = std::move(function)] { run(function); }) {}
    ~ProducedSource() override {
        pipe_.close();
        thread_.join();
    }
    Result<std::string_view> next() override {
        current_ = TRY(pipe_.pop(std::exchange(current_, Buffer())));
        return std::string_view(current_.data(), current_.size());
    }

private:
    void run(const std::function<Result<void>(Sink&)>& function) {
        ::pthread_setname_np(::pthread_self(), "storage-produce");
        PipeSink sink(pipe_);
        Result<void> result = function(sink);
        sink.flush();
        pipe_.end(std::move(result));
    }

    Pipe pipe_;
    Buffer current_;
    std::thread thread_;  // last: it starts with everything else in place
};

}  // namespace

std::unique_ptr<Source> produce(std::function<Result<void>(Sink&)> produce, PipeLimits limits) {
    return std::make_unique<ProducedSource>(std::move(produce), limits);
}

std::unique_ptr<Source> read_ahead(Source& upstream, PipeLimits limits) {
    return produce(
        [&upstream](Sink& sink) -> Result<void> {
            TRY(copy(upstream, sink));
            return {};
        },
        limits);
}

}  // namespace corten::storage
