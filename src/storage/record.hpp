#pragma once
// The record that re-creates a layer's tar byte for byte: `record` beside the layer's files. A zstd
// stream of
//   "CORTENTAR1\n"
//   'F' varint(n) n bytes                      framing: headers, padding, trailer, as they were
//   'P' varint(n) path  varint(k) k times (varint offset, varint length)
//                                              payload: these extents of the layer's file `path`
//   'R' varint(n) path  varint(i)              from here on, what 'P' before this line calls `path`
//                                              (or has below it) is `replaced/i` in the layer's
//                                              directory: a later entry took its name
// What varint is: unsigned LEB128. The digest of what comes out is compared with the diff id, so
// the record holds no checksums.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/stream.hpp>
#include <storage/tar.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace corten::storage {

class RecordWriter final : public TarObserver {
public:
    /// `framing_limit` bounds the framing bytes (0: none): they are the archive's to choose too.
    static Result<std::unique_ptr<RecordWriter>> create(Fd file, std::uint64_t framing_limit);
    ~RecordWriter() override;
    Result<void> framing(std::string_view bytes) override;
    Result<void> payload(std::string_view path, const std::vector<Extent>& extents);
    Result<void> replaced(std::string_view path, std::uint64_t number);
    Result<void> finish();

private:
    struct State;
    explicit RecordWriter(std::unique_ptr<State> state);
    Result<void> flush_framing();
    std::unique_ptr<State> state_;
};

/// Writes the tar that `record` describes. `files` is the layer's tree, `replaced` the directory of
/// replaced files (not valid when there are none).
Result<void> replay_record(FdView record, FdView files, FdView replaced, Sink& out);

}  // namespace corten::storage
