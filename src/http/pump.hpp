#pragma once
#include <http/stream.hpp>

namespace corten::http {

/// Copies both ways until both have ended, passing each end of input on; neither direction ever
/// waits for the other. Returns early when a side fails or `near` is closed altogether.
void pump(Stream& near, Stream& far);

}  // namespace corten::http
