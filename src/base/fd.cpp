#include <base/fd.hpp>

#include <unistd.h>

namespace corten {

void Fd::reset(int raw) {
    // The result of close() cannot be acted on: Linux frees the descriptor whatever it returns.
    if (raw_ >= 0) ::close(raw_);
    raw_ = raw;
}

}  // namespace corten
