#include "init_layer.hpp"
#include "layer_form.hpp"
#include "overlay_changes.hpp"
#include "overlay_mount.hpp"
#include "record.hpp"
#include "tree.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <storage/archive.hpp>
#include <storage/driver.hpp>
#include <storage/quota.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>

namespace corten::storage {

namespace {

constexpr const char* trash_name = "trash";
constexpr const char* empty_name = "empty";
// Framing is a header, and rarely an extension, per entry: 1 GiB is a million entries with 1 KiB.
constexpr std::uint64_t framing_limit = 4ULL << 30;

Result<void> make_directory(FdView parent, const std::string& name, mode_t mode) {
    if (::mkdirat(parent.raw(), name.c_str(), mode) < 0)
        return fail_errno("make directory {}", name);
    return {};
}

/// Ids become names in paths and mount options.
Result<void> check_id(std::string_view id) {
    const auto good = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); };
    if (!id.empty() && id.size() <= 64 && std::ranges::all_of(id, good) && id != trash_name &&
        id != empty_name)
        return {};
    return fail(ErrorKind::internal, "\"{}\" is no id of a layer or snapshot", id);
}

class FormLayerBuilder final : public LayerBuilder {
public:
    FormLayerBuilder(LayerForm& form, Fd directory)
        : form_(form), directory_(std::move(directory)) {}

    Result<UnpackResult> unpack(Source& tar, const UnpackLimits& limits, bool record) override {
        UnpackPolicy policy;
        policy.whiteouts = Whiteouts::overlay;
        policy.limits = limits;
        std::unique_ptr<RecordWriter> writer;
        if (record) {
            Fd file = TRY(sys::open_at(directory_, "record", O_RDWR | O_CREAT | O_EXCL, 0600));
            writer = TRY(RecordWriter::create(std::move(file), framing_limit));
            policy.record = writer.get();
        }
        TarReader reader(tar, writer.get());
        const UnpackResult result = TRY(form_.unpack(directory_, reader, policy));
        if (writer) TRY(writer->finish());
        return result;
    }

private:
    LayerForm& form_;
    Fd directory_;
};

class OverlayDriver final : public Driver {
public:
    struct Directories {
        Fd root;
        Fd trash;
        Fd spread;  ///< where directories of layers are born
    };
    OverlayDriver(std::string root, Directories directories, std::unique_ptr<LayerForm> form,
                  OverlayMount method)
        : root_(std::move(root)),
          directory_(std::move(directories.root)),
          trash_(std::move(directories.trash)),
          spread_(std::move(directories.spread)),
          form_(std::move(form)),
          method_(method) {}

    std::string_view name() const override { return form_->name(); }

    Result<std::unique_ptr<LayerBuilder>> begin_layer(const std::string& id) override {
        TRY(check_id(id));
        TRY(make_directory(spread_, id, 0700));
        if (::renameat2(spread_.raw(), id.c_str(), directory_.raw(), id.c_str(), RENAME_NOREPLACE) <
            0)
            return fail_errno("place layer {}", id);
        return std::make_unique<FormLayerBuilder>(*form_, TRY(open_part(id)));
    }

    Result<void> write_tar(const std::string& id, Sink& out) override {
        const Fd directory = TRY(open_part(id));
        auto record = sys::open_at(directory, "record", O_RDONLY | O_NOFOLLOW);
        if (!record && record.error().number() == ENOENT)
            return fail(ErrorKind::unsupported, "layer {} has no record of its tar", id);
        const Fd record_file = TRY(std::move(record));
        auto written = replay(directory, id, record_file, out);
        // That is about the record alone: what cannot be read now could be when it was written.
        if (!written && written.error().kind() == ErrorKind::unsupported)
            return std::move(written).error().with_kind(ErrorKind::corrupt);
        return written;
    }

    Result<void> create_snapshot(const std::string& id, std::uint64_t most_bytes) override {
        const Fd directory = TRY(make_part(id));
        // First, as what is made in it inherits the limit.
        if (most_bytes != 0) TRY(limit_space(directory, most_bytes));
        TRY(make_directory(directory, "diff", 0755));
        TRY(make_directory(directory, "work", 0700));
        const Fd files = TRY(sys::open_at(directory, "diff", O_RDONLY | O_DIRECTORY));
        if (::fchmod(files.raw(), 0755) < 0) return fail_errno("change mode of snapshot {}", id);
        return {};
    }

    Result<Fd> mount(const MountPlan& plan) override {
        OverlayPaths paths = TRY(lower_paths(plan));
        paths.read_only = plan.access == Access::read_only || plan.snapshot.empty();
        if (plan.snapshot.empty()) return mount_overlay(paths);
        TRY(check_id(plan.snapshot));
        std::string files = path_of(plan.snapshot, "diff");
        if (paths.read_only) {
            // A running container writes there: an overlay that took the same directories as its
            // own would clear the one that is worked in. As a layer they are only looked at.
            paths.lower.insert(paths.lower.begin(), std::move(files));
        } else {
            paths.upper = std::move(files);
            paths.work = path_of(plan.snapshot, "work");
        }
        return mount_overlay(paths);
    }

    Places places(const MountPlan& plan) const override {
        Places out;
        if (plan.init_layer) out.lower.push_back(init_path(plan.layers));
        for (const auto& id : plan.layers) out.lower.push_back(path_of(id, form_->part()));
        if (plan.snapshot.empty()) return out;
        out.upper = path_of(plan.snapshot, "diff");
        out.work = path_of(plan.snapshot, "work");
        return out;
    }

    Result<Usage> usage(const std::string& id) override {
        const Fd directory = TRY(open_part(id));
        const Fd files = TRY(sys::open_at(directory, "diff", O_PATH | O_DIRECTORY | O_NOFOLLOW));
        return tree_usage(files);
    }

    Result<std::vector<Change>> changes(const MountPlan& plan) override {
        const Fd files = TRY(open_files(plan.snapshot));
        MountPlan below = plan;
        below.snapshot.clear();
        const Fd lower = TRY(mount(below));
        return overlay_changes(files, lower);
    }

    Result<void> diff(const MountPlan& plan, Sink& out) override {
        const Fd files = TRY(open_files(plan.snapshot));
        TarOptions options;
        options.whiteouts = Whiteouts::overlay;
        return tar_tree(files, out, options);
    }

    Result<void> remove(const std::string& id) override {
        TRY(check_id(id));
        form_->forget(id);
        if (const auto directory = open_part(id)) TRY(lift_limit(*directory));
        const std::string target = random_hex(12);
        if (::renameat(directory_.raw(), id.c_str(), trash_.raw(), target.c_str()) == 0) return {};
        if (errno == ENOENT) return {};
        return fail_errno("remove {}", id);
    }

    Result<std::size_t> sweep(const std::stop_token& stop) override {
        std::lock_guard lock(sweeping_);
        const auto items = TRY(read_directory(trash_));
        for (const DirectoryItem& item : items)
            TRY(remove_at(trash_, item.name, stop).context("empty the trash"));
        return items.size();
    }

    Result<std::vector<std::string>> list() override {
        std::vector<std::string> ids;
        for (DirectoryItem& item : TRY(read_directory(directory_)))
            if (item.name != trash_name && item.name != empty_name)
                ids.push_back(std::move(item.name));
        return ids;
    }

private:
    Result<void> replay(FdView directory, const std::string& id, FdView record, Sink& out) {
        const LayerTrees trees = TRY(form_->open_trees(directory, fmt::format("{}/{}", root_, id)));
        return replay_record(record, trees.files, trees.replaced, out);
    }
    std::string path_of(std::string_view id, std::string_view part) const {
        return fmt::format("{}/{}/{}", root_, id, part);
    }
    static std::string_view init_owner(const std::vector<std::string>& layers) {
        return layers.empty() ? empty_name : std::string_view(layers.front());
    }
    std::string init_path(const std::vector<std::string>& layers) const {
        return path_of(init_owner(layers), "init");
    }
    Result<Fd> make_part(const std::string& id) {
        TRY(check_id(id));
        TRY(make_directory(directory_, id, 0700));
        return open_part(id);
    }
    Result<Fd> open_part(const std::string& id) const {
        TRY(check_id(id));
        return sys::open_at(directory_, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    }
    Result<Fd> open_files(const std::string& id) const {
        const Fd directory = TRY(open_part(id));
        return sys::open_at(directory, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    }

    Result<OverlayPaths> lower_paths(const MountPlan& plan) {
        OverlayPaths paths;
        paths.several_file_systems = form_->several_file_systems();
        for (const std::string& id : plan.layers) {
            TRY(check_id(id));
            LowerLayer layer = TRY(form_->lower(id, fmt::format("{}/{}", root_, id)));
            paths.lower.push_back(std::move(layer.path));
            if (layer.mount) paths.held.push_back(std::move(layer.mount));
        }
        if (plan.init_layer)
            paths.lower.insert(paths.lower.begin(), TRY(init_layer(plan.layers, paths)));
        // An overlay without an upper directory wants two lower ones, and any overlay wants one.
        const std::size_t wanted = plan.snapshot.empty() ? 2 : 1;
        if (paths.lower.size() < wanted) paths.lower.push_back(path_of(empty_name, "diff"));
        if (paths.lower.size() < wanted) paths.lower.push_back(path_of(empty_name, "other"));
        return paths;
    }

    /// Path of the init layer over `layers`, which lies in the topmost one's directory.
    Result<std::string> init_layer(const std::vector<std::string>& layers, OverlayPaths lower) {
        const std::string_view owner = init_owner(layers);
        std::string finished = init_path(layers);
        std::lock_guard lock(making_init_);
        if (sys::exists(finished)) return finished;
        const std::string work = path_of(owner, "init.work");
        const std::string made = path_of(owner, "init.new");
        // Left from a crash, if at all.
        TRY(sys::remove_tree(work));
        TRY(sys::remove_tree(made));
        if (::mkdir(work.c_str(), 0700) < 0 || ::mkdir(made.c_str(), 0755) < 0 ||
            ::chmod(made.c_str(), 0755) < 0)
            return fail_errno("make directory {}", made);
        if (lower.lower.empty()) lower.lower.push_back(path_of(empty_name, "diff"));
        lower.upper = made;
        lower.work = work;
        lower.no_sync = true;  // else the first container waits for all that the pull has written
        {
            const Fd root = TRY(mount_overlay(lower));
            TRY(fill_init_layer(root));
        }
        TRY(sys::rename(made, finished));
        TRY(sys::remove_tree(work));
        return finished;
    }

    Result<Fd> mount_overlay(const OverlayPaths& paths) {
        Fd mount = TRY(try_mount(paths));
        if (!paths.read_only && TRY(is_read_only(mount)))
            return Error::from_errno(TRY(is_read_only(directory_)) ? EROFS : ENOSPC,
                                     "mount overlay for writing");
        return mount;
    }

    /// Where overlay has no room for its working directory it mounts read-only, and tells nobody.
    static Result<bool> is_read_only(FdView on) {
        struct ::statvfs info{};
        if (::fstatvfs(on.raw(), &info) < 0) return fail_errno("look at a mount");
        return (info.f_flag & ST_RDONLY) != 0;
    }

    Result<Fd> try_mount(const OverlayPaths& paths) {
        if (method_ != OverlayMount::classic) {
            auto mounted = mount_overlay_by_layer(paths);
            const bool old_kernel = !mounted && mounted.error().kind() == ErrorKind::unsupported;
            if (method_ == OverlayMount::lowerdir_plus || !old_kernel) return mounted;
            method_ = OverlayMount::classic;
        }
        return mount_overlay_classic(root_, paths);
    }

    const std::string root_;
    const Fd directory_;
    const Fd trash_;
    const Fd spread_;
    const std::unique_ptr<LayerForm> form_;
    std::atomic<OverlayMount> method_;
    std::mutex making_init_;
    std::mutex sweeping_;
};

}  // namespace

namespace {

/// ext4 makes files near their directory, and passes over those that were removed there in the last
/// half minute one by one, for each new file. With this each layer, of thousands of files made at
/// once, begins at a place of its own; other file systems do not have the flag and the trouble.
void scatter_directories(FdView directory) {
    int flags = 0;
    if (::ioctl(directory.raw(), FS_IOC_GETFLAGS, &flags) < 0) return;
    flags |= FS_TOPDIR_FL;
    (void)::ioctl(directory.raw(), FS_IOC_SETFLAGS, &flags);
}

}  // namespace

namespace {

/// Makes what is missing below `root`.
Result<OverlayDriver::Directories> open_directories(const std::string& root) {
    TRY(sys::remove_tree(fmt::format("{}/empty/spread", root)));
    for (const std::string_view part : {"trash", "empty/diff", "empty/other", "empty/spread"})
        TRY(sys::make_directories(fmt::format("{}/{}", root, part), 0700));
    for (const std::string_view part : {"empty/diff", "empty/other"})
        if (::chmod(fmt::format("{}/{}", root, part).c_str(), 0755) < 0)
            return fail_errno("change mode of {}/{}", root, part);
    OverlayDriver::Directories found;
    found.root = TRY(sys::open(root, O_RDONLY | O_DIRECTORY));
    found.trash = TRY(sys::open_at(found.root, trash_name, O_RDONLY | O_DIRECTORY));
    found.spread = TRY(sys::open_at(found.root, "empty/spread", O_RDONLY | O_DIRECTORY));
    scatter_directories(found.spread);
    return found;
}

}  // namespace

Result<std::unique_ptr<Driver>> open_overlay_driver(const std::string& root, OverlayMount method) {
    return std::make_unique<OverlayDriver>(root, TRY(open_directories(root)), directory_layers(),
                                           method);
}

namespace {

/// Mounts the shortest layer there is: better now than with the first container.
Result<void> try_form(LayerForm& form, const std::string& root) {
    const std::string path = fmt::format("{}/empty/trial", root);
    TRY(sys::remove_tree(path));  // left from a crash, if at all
    TRY(sys::make_directories(path, 0700));
    Rollback undo;
    undo.add([&] {
        form.forget("trial");
        sys::remove_tree(path).ignore();  // the next start's work otherwise
    });
    const Fd directory = TRY(sys::open(path, O_RDONLY | O_DIRECTORY));
    const std::string no_entries(1024, '\0');
    StringSource source(no_entries);
    TarReader tar(source);
    TRY(form.unpack(directory, tar, {}));
    LowerLayer layer = TRY(form.lower("trial", path));
    OverlayPaths paths;
    paths.lower = {layer.path, fmt::format("{}/empty/diff", root)};
    paths.read_only = true;
    paths.several_file_systems = form.several_file_systems();
    TRY(mount_overlay_by_layer(paths));
    return {};
}

}  // namespace

namespace {

/// A kernel says EINVAL to most of what it does not know, but a full disk is none of its faults.
Error needs_newer_kernel(Error error) {
    const auto kind =
        error.kind() == ErrorKind::no_space ? ErrorKind::no_space : ErrorKind::unsupported;
    return std::move(error).with_kind(kind).context(
        "the storage driver erofs needs Linux 6.15 with EROFS and its mounts of files");
}

}  // namespace

Result<std::unique_ptr<Driver>> open_erofs_driver(const std::string& root, ErofsMount method) {
    auto directories = TRY(open_directories(root));
    auto form = erofs_layers(method);
    if (auto tried = try_form(*form, root); !tried)
        return needs_newer_kernel(std::move(tried).error());
    return std::make_unique<OverlayDriver>(root, std::move(directories), std::move(form),
                                           OverlayMount::lowerdir_plus);
}

Result<void> check_driver_name(std::string_view name) {
    if (name == overlay_driver_name || name == erofs_driver_name) return {};
    return fail(ErrorKind::invalid, "there is no storage driver \"{}\", but {} and {}", name,
                overlay_driver_name, erofs_driver_name);
}

Result<std::unique_ptr<Driver>> open_driver(const std::string& name, const std::string& root) {
    TRY(check_driver_name(name));
    return name == erofs_driver_name ? open_erofs_driver(root) : open_overlay_driver(root);
}

}  // namespace corten::storage
