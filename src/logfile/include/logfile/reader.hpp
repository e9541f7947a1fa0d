#pragma once
// Reads a json-file log and its rotated predecessors, from the first line or the last N, and goes
// on while it is written, across rotations.
//
//   auto reader = TRY(Reader::open(path, {.tail = 10}));
//   for (;;) {
//       while (const Entry* entry = TRY(reader.next())) use(*entry);
//       if (reader.finished() || container_has_stopped) break;   // then drain once more
//       wait_readable({reader.changes(), stop}); reader.clear_changes();
//   }
#include <base/clock.hpp>
#include <base/fd.hpp>
#include <base/result.hpp>

#include <logfile/codec.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace corten::logfile {

struct ReadOptions {
    bool out = true;
    bool err = true;
    std::int64_t tail = -1;  ///< lines of the file, before any other choice; -1 is all
    std::optional<WallTime> since;
    std::optional<WallTime> until;
};

class Reader {
public:
    /// A log that does not exist (yet) is an empty one.
    static Result<Reader> open(const std::string& path, ReadOptions options);
    Reader(Reader&&) noexcept;
    Reader& operator=(Reader&&) noexcept;
    ~Reader();

    /// The next entry that is there now, valid until the next call; nullptr when there is none.
    Result<const Entry*> next();
    /// An entry later than `until` was met: nothing will follow.
    bool finished() const;
    /// Lines that were not log lines, and were passed over.
    std::int64_t skipped() const;

    /// Watches the log from now on: the descriptor is readable when there may be more to read.
    /// When the machine has no inotify watches left it is readable five times a second.
    Result<FdView> changes();
    void clear_changes();

private:
    struct State;
    explicit Reader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace corten::logfile
