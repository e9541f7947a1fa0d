// A layer as the tree `diff`, in overlayfs' own form, and `replaced` beside it.
#include "layer_form.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>

namespace corten::storage {

namespace {

class DirectoryLayers final : public LayerForm {
public:
    std::string_view name() const override { return overlay_driver_name; }
    std::string_view part() const override { return "diff"; }

    Result<UnpackResult> unpack(FdView directory, TarReader& tar, UnpackPolicy policy) override {
        if (::mkdirat(directory.raw(), "diff", 0755) < 0) return fail_errno("make directory diff");
        const Fd files = TRY(sys::open_at(directory, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        if (::fchmod(files.raw(), 0755) < 0) return fail_errno("change mode of a layer");
        policy.record_directory = directory;
        return unpack_tree(files, tar, policy);
    }

    Result<LowerLayer> lower(const std::string&, const std::string& path) override {
        return LowerLayer{path + "/diff", nullptr};
    }

    Result<LayerTrees> open_trees(FdView directory, const std::string&) override {
        LayerTrees trees;
        trees.files = TRY(sys::open_at(directory, "diff", O_PATH | O_DIRECTORY | O_NOFOLLOW));
        auto replaced = sys::open_at(directory, "replaced", O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (!replaced && replaced.error().number() != ENOENT) return std::move(replaced).error();
        if (replaced) trees.replaced = std::move(*replaced);
        return trees;
    }

    void forget(const std::string&) override {}
    bool several_file_systems() const override { return false; }
};

}  // namespace

std::unique_ptr<LayerForm> directory_layers() {
    return std::make_unique<DirectoryLayers>();
}

}  // namespace corten::storage
