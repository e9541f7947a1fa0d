#include "disk_owners.hpp"

#include <storage/archive.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>

namespace corten::engine {

namespace {

struct Owner {
    std::string kind;
    std::string name;
};
using OwnerOf = std::function<Owner(const std::string& part)>;

std::uint64_t blocks_of(const struct ::stat& info) {
    return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

/// Bytes of a file or of a tree on this file system; nullopt when it has gone meanwhile.
Result<std::optional<std::uint64_t>> bytes_of(const std::string& path) {
    struct ::stat info{};
    if (::lstat(path.c_str(), &info) < 0) {
        if (errno == ENOENT) return std::nullopt;
        return fail_errno("stat {}", path);
    }
    if (!S_ISDIR(info.st_mode)) return blocks_of(info);
    auto opened = sys::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened && opened.error().number() == ENOENT) return std::nullopt;
    const Fd directory = TRY(std::move(opened));
    return TRY(storage::tree_usage(directory, storage::Mounted::left_out)).disk_bytes;
}

class Accounts {
public:
    explicit Accounts(Context& context) : context_(context), root_(context.config.data_root) {}

    Result<apitypes::DiskOwners> run() {
        TRY(add_directory(root_, [this](const std::string& name) { return owner_at_top(name); }));
        TRY(add_directory(root_ + "/blobs", [](const std::string&) { return Owner(); }));
        TRY(add_directory(root_ + "/blobs/sha256",
                          [](const std::string& hex) { return Owner{"blob", "sha256:" + hex}; }));
        TRY(add_directory(root_ + "/ingest",
                          [](const std::string& name) { return Owner{"download", name}; }));
        TRY(add_directory(root_ + "/containers",
                          [](const std::string& id) { return Owner{"container", id}; }));
        TRY(add_volumes());
        TRY(add_layers());
        std::uint64_t sum = 0;
        for (const auto& owner : owners_) sum += owner.bytes;
        return apitypes::DiskOwners{.root = root_, .bytes = sum, .owners = std::move(owners_)};
    }

private:
    /// Those with parts of their own are no part of the root. (A part without a kind is none.)
    Owner owner_at_top(const std::string& name) const {
        constexpr std::array parted{"blobs", "ingest", "containers", "volumes"};
        constexpr std::array own{"engine-id", "lock", "reserve"};
        if (std::ranges::find(parted, name) != parted.end() ||
            name == context_.store->driver().name())
            return {};
        if (name.starts_with("corten.db")) return {"database", name};
        if (name.starts_with("load-") || name == "bootstrap") return {"unfinished", name};
        return {std::ranges::find(own, name) != own.end() ? "engine" : "stranger", name};
    }

    /// A directory's own blocks are the engine's; what is in it belongs to whom `owner_of` says.
    Result<void> add_directory(const std::string& path, const OwnerOf& owner_of) {
        const auto names = TRY(sys::list_directory(path));
        add({"engine", path}, blocks_of(TRY(sys::stat(path))));
        for (const auto& name : names) {
            Owner owner = owner_of(name);
            if (owner.kind.empty()) continue;
            if (const auto bytes = TRY(bytes_of(path + "/" + name))) add(std::move(owner), *bytes);
        }
        return {};
    }

    void add(Owner owner, std::uint64_t bytes) {
        owners_.push_back(
            {.kind = std::move(owner.kind), .name = std::move(owner.name), .bytes = bytes});
    }

    /// A directory that has no row yet is one that is being imported.
    Result<void> add_volumes() {
        std::set<std::string> named;
        for (auto& volume : TRY(context_.volumes.list())) named.insert(std::move(volume.name));
        return add_directory(root_ + "/volumes", [&](const std::string& name) {
            return Owner{named.contains(name) ? "volume" : "unfinished", name};
        });
    }

    Result<void> add_layers() {
        auto& store = *context_.store;
        std::map<std::string, Owner> known{{"trash", {"removed", "trash"}},
                                           {"empty", {"engine", "empty"}}};
        for (auto& id : store.layers().being_unpacked()) known[id] = {"unfinished", id};
        for (auto& layer : TRY(store.layers().list()))
            known[layer.cache_id] = {"layer", layer.chain_id};
        for (const auto& [id, key] : TRY(store.snapshots().directories()))
            known[id] = {"writable layer", key};
        const auto path = fmt::format("{}/{}", root_, store.driver().name());
        return add_directory(path, [&](const std::string& name) {
            const auto found = known.find(name);
            return found == known.end() ? Owner{"stranger", name} : found->second;
        });
    }

    Context& context_;
    const std::string root_;
    std::vector<apitypes::DiskOwner> owners_;
};

}  // namespace

Result<apitypes::DiskOwners> find_disk_owners(Context& context) {
    return Accounts(context).run();
}

}  // namespace corten::engine
