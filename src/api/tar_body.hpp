#pragma once
// Bodies that are made while they are sent (archives), with the status of an early error.
#include "call.hpp"

namespace corten::api {

/// Runs `produce` with a sink whose first bytes start the answer. An error before them gets its
/// status; a later one cuts the answer, which clients notice. `encoding` is what `produce` has
/// packed the body with.
template <typename Produce>
Result<void> stream_body(Call& call, std::string content_type, Produce&& produce,
                         std::string_view encoding = "") {
    call.answer.headers().set("Content-Type", std::move(content_type));
    call.answer.set_write_timeout(std::chrono::hours(1));
    const ByteSink sink = [&](std::string_view bytes) -> Result<void> {
        if (!call.answer.started() && !encoding.empty())
            call.answer.headers().set("Content-Encoding", std::string(encoding));
        if (!call.answer.started()) TRY(call.answer.start(200));
        return call.answer.write(bytes);
    };
    TRY(produce(sink));
    return call.answer.started() ? Result<void>() : call.answer.start(200);
}

}  // namespace corten::api
