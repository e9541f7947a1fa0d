#pragma once
#include <storage/stream.hpp>

namespace corten::image {

/// Ends with an error when more comes out of `upstream` than a layer may have (0: no limit): what a
/// few bytes of a bomb inflate to.
class LimitedSource final : public storage::Source {
public:
    LimitedSource(storage::Source& upstream, std::uint64_t limit)
        : upstream_(upstream), limit_(limit) {}
    Result<std::string_view> next() override {
        const auto bytes = TRY(upstream_.next());
        if (limit_ != 0 && bytes.size() > limit_ - count_)
            return fail(ErrorKind::forbidden, "the layer inflates to more than {} bytes", limit_);
        count_ += bytes.size();
        return bytes;
    }

private:
    storage::Source& upstream_;
    const std::uint64_t limit_;
    std::uint64_t count_ = 0;
};

}  // namespace corten::image
