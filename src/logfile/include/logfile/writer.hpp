#pragma once
// Writes a json-file log. Never blocks what it logs: when the disk is full the output is counted
// and dropped, and a line says how much was lost once there is room again.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <logfile/codec.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace corten::logfile {

struct WriterOptions {
    std::string path;
    std::int64_t max_size = -1;  ///< bytes a file may have before the next line goes to a new one
    int max_file = 1;            ///< files to keep, the current one included
    std::string attrs;           ///< a JSON object for each line, or empty
};

class Writer {
public:
    /// Opens or makes the file (mode 0640) and appends to it.
    static Result<Writer> open(WriterOptions options);

    /// Takes output as it was read. Whole lines are in the file on return; the rest waits for its
    /// end of line, for `longest_part` bytes, or for finish().
    void append(Stream stream, std::string_view bytes, WallTime time);
    /// The stream has ended: an unfinished line is written without "\n".
    void finish(Stream stream, WallTime time);

    /// Opens the path anew, e.g. after another program has moved the file.
    Result<void> reopen();
    /// Gives memory back that a burst of output has made; nothing is lost.
    void release_memory();

    /// Bytes of output that could not be written, in all.
    std::int64_t lost_bytes() const { return lost_total_; }
    /// Why output began to be lost, or the log cannot be rotated: once each time that it begins.
    std::optional<std::string> take_failure() { return std::exchange(report_, std::nullopt); }

private:
    explicit Writer(WriterOptions options);

    Result<void> open_file();
    void put_line(std::string_view text, std::string_view end);
    void flush();
    Result<void> write_batch();
    void give_up(const Error& error);
    void put_marker();
    void rotate_when_due();
    Result<void> rotate();
    std::string& pending(Stream stream) { return pending_[stream == Stream::out ? 0 : 1]; }

    WriterOptions options_;
    Fd file_;
    std::int64_t size_ = 0;               // of the file
    std::string batch_;                   // whole lines not yet in the file
    std::int64_t batch_text_ = 0;         // bytes of output in them
    std::array<std::string, 2> pending_;  // begun lines
    std::int64_t lost_total_ = 0;
    std::int64_t lost_now_ = 0;  // since the last marker line
    std::string failure_;        // why output is being lost; empty when it is not
    std::optional<std::string> report_;
    std::int64_t rotate_at_ = 0;  // size of the file; 0 is never
};

}  // namespace corten::logfile
