#pragma once
// How the files of a layer lie in the layer's directory: as a tree (directory_layers.cpp) or in one
// image (erofs_layers.cpp). Everything else about layers and snapshots is OverlayDriver's.
#include "record.hpp"
#include "unpack.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/driver.hpp>

#include <memory>
#include <string>

namespace corten::storage {

/// A directory with a layer's files, for overlayfs.
struct LowerLayer {
    std::string path;
    std::shared_ptr<const Fd> mount;  ///< what must stay open while the path is used; may be null
};

/// A layer's files, and those which later entries of its tar replaced.
struct LayerTrees {
    Fd mount;  ///< what the others lie on, if anything
    Fd files;
    Fd replaced;  ///< not valid when there are none
};

class LayerForm {
public:
    virtual ~LayerForm() = default;
    virtual std::string_view name() const = 0;  ///< the driver's
    virtual std::string_view part() const = 0;  ///< of a layer's directory that holds its files
    /// Unpacks into `directory`, which has nothing but the record's file in it.
    virtual Result<UnpackResult> unpack(FdView directory, TarReader& tar, UnpackPolicy policy) = 0;
    /// The layer `id`, which has the directory `path`.
    virtual Result<LowerLayer> lower(const std::string& id, const std::string& path) = 0;
    /// As they are on the disk now, for a moment.
    virtual Result<LayerTrees> open_trees(FdView directory, const std::string& path) = 0;
    /// The layer was removed.
    virtual void forget(const std::string& id) = 0;
    /// What overlayfs is told beyond the usual, because of where the layers lie.
    virtual bool several_file_systems() const = 0;
};

std::unique_ptr<LayerForm> directory_layers();
std::unique_ptr<LayerForm> erofs_layers(ErofsMount method);

}  // namespace corten::storage
