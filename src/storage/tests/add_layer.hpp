#pragma once
#include <storage/store.hpp>

namespace corten::storage::testing {

/// A layer over `parent` as a pull or a commit makes it; "" as `diff_id` fits any content.
inline Result<Layer> add_layer(Store& store, const std::string& parent, Source& tar,
                               const std::string& diff_id = "", const UnpackOptions& options = {}) {
    return store.layers().commit(TRY(store.layers().unpack(tar, options)), parent, diff_id);
}

}  // namespace corten::storage::testing
