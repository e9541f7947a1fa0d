// A layer as one EROFS image, `image`. While the driver is open each is mounted once, for all
// mounts of overlayfs over it, so that they share what is cached of its files; a mount goes with
// the removal of its layer. (Containers that a former daemon started have that one's.)
#include "erofs_mount.hpp"
#include "erofs_target.hpp"
#include "layer_form.hpp"
#include "tree.hpp"

#include <base/sync.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <map>

namespace corten::storage {

namespace {

constexpr const char* image_name = "image";

class ErofsLayers final : public LayerForm {
public:
    explicit ErofsLayers(ErofsMount method) : method_(method) {}

    std::string_view name() const override { return erofs_driver_name; }
    std::string_view part() const override { return image_name; }

    Result<UnpackResult> unpack(FdView directory, TarReader& tar, UnpackPolicy policy) override {
        const Fd image =
            TRY(sys::open_at(directory, image_name, O_WRONLY | O_CREAT | O_EXCL, 0600));
        ErofsTarget target(image);
        return unpack_into(target, tar, policy);
    }

    Result<LowerLayer> lower(const std::string& id, const std::string& path) override {
        auto mount = TRY(mounts_.with([&](auto& mounts) { return mounted(mounts, id, path); }));
        return LowerLayer{fd_path(*mount, "diff"), std::move(mount)};
    }

    /// By a mount of its own: what the shared one has in memory says nothing about the disk.
    Result<LayerTrees> open_trees(FdView, const std::string& path) override {
        LayerTrees trees;
        trees.mount = TRY(mount_image(path));
        trees.files = TRY(sys::open_at(trees.mount, "diff", O_PATH | O_DIRECTORY | O_NOFOLLOW));
        auto replaced = sys::open_at(trees.mount, "replaced", O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (!replaced && replaced.error().number() != ENOENT) return std::move(replaced).error();
        if (replaced) trees.replaced = std::move(*replaced);
        return trees;
    }

    void forget(const std::string& id) override {
        mounts_.with([&](auto& mounts) { mounts.erase(id); });
    }

    bool several_file_systems() const override { return true; }

private:
    using Mounts = std::map<std::string, std::shared_ptr<const Fd>>;

    Result<Fd> mount_image(const std::string& path) const {
        return mount_erofs(fmt::format("{}/{}", path, image_name), method_);
    }

    Result<std::shared_ptr<const Fd>> mounted(Mounts& mounts, const std::string& id,
                                              const std::string& path) const {
        if (const auto found = mounts.find(id); found != mounts.end()) return found->second;
        auto mount = std::make_shared<const Fd>(TRY(mount_image(path).context("layer " + id)));
        mounts.emplace(id, mount);
        return mount;
    }

    const ErofsMount method_;
    Sync<Mounts> mounts_;
};

}  // namespace

std::unique_ptr<LayerForm> erofs_layers(ErofsMount method) {
    return std::make_unique<ErofsLayers>(method);
}

}  // namespace corten::storage
