#include "body_source.hpp"
#include "context.hpp"
#include "filters.hpp"
#include "names.hpp"
#include "volume_options.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <engine/volumes.hpp>
#include <storage/archive.hpp>
#include <storage/compression.hpp>
#include <storage/driver.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace corten::engine {

namespace {

apitypes::Volume render(const Context& context, const VolumeRecord& record) {
    apitypes::Volume out;
    std::string created = rfc3339(WallTime(std::chrono::seconds(record.created / 1'000'000'000)));
    out.created_at = std::move(created);
    out.mountpoint = context.volumes.mountpoint(record.name);
    out.name = record.name;
    if (!record.labels.empty()) out.labels = record.labels;
    if (!record.options.empty()) out.options = record.options;
    return out;
}

/// The container that refers to a volume, running or not.
std::optional<std::string> user_of(const Context& context, const std::string& volume) {
    for (const auto& container : context.containers.all())
        for (const auto& mount : container->spec()->mounts)
            if (mount.type == "volume" && mount.name == volume) return container->id();
    return {};
}

/// Volumes that -v made without a name; the engine marks them by their name's form and by the plan.
bool is_anonymous(const VolumeRecord& record) {
    return record.labels.contains(std::string(anonymous_volume_label)) ||
           (record.name.size() == 64 && is_lower_hex(record.name));
}

bool matches(const Context& context, const VolumeRecord& record, const Filters& filters,
             const Patterns& names) {
    return std::ranges::all_of(filters, [&](const auto& filter) {
        if (filter.first == "name") return names.match(record.name);
        const auto one = [&](const std::string& value) {
            if (filter.first == "driver") return value == "local";
            if (filter.first == "label") return label_matches(record.labels, value);
            if (filter.first == "label!") return !label_matches(record.labels, value);
            if (filter.first == "dangling")
                return is_true(value) == !user_of(context, record.name).has_value();
            return true;
        };
        const bool every = filter.first == "label" || filter.first == "label!";
        return every ? std::ranges::all_of(filter.second, one)
                     : std::ranges::any_of(filter.second, one);
    });
}

}  // namespace

Volumes::Volumes(Context& context) : context_(context) {}

Result<std::vector<apitypes::Volume>> Volumes::list(const Filters& filters) const {
    constexpr std::array known = {"dangling", "name", "driver", "label", "label!"};
    TRY(check_filter_keys(filters, known));
    const Patterns names(filters, "name");
    std::vector<apitypes::Volume> out;
    for (const auto& record : TRY(context_.volumes.list()))
        if (matches(context_, record, filters, names)) out.push_back(render(context_, record));
    return out;
}

namespace {

/// Bytes of the volume's files. By descriptors: containers change the tree as they like.
Result<std::int64_t> size_of(const std::string& mountpoint) {
    const Fd top = TRY(sys::open(mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    return static_cast<std::int64_t>(TRY(storage::tree_usage(top)).bytes);
}

}  // namespace

Result<std::vector<apitypes::Volume>> Volumes::list_with_usage() const {
    std::vector<apitypes::Volume> volumes;
    for (auto& volume : TRY(list({}))) {
        auto size = size_of(volume.mountpoint);
        if (!size && size.error().number() == ENOENT) continue;  // removed since it was listed
        std::int64_t users = 0;
        for (const auto& container : context_.containers.all())
            users +=
                std::ranges::count(container->spec()->mounts, volume.name, &PlannedMount::name);
        volume.usage_data = apitypes::VolumeUsage{.ref_count = users, .size = TRY(std::move(size))};
        volumes.push_back(std::move(volume));
    }
    return volumes;
}

Result<apitypes::Volume> Volumes::inspect(std::string_view name) const {
    const auto record = TRY(context_.volumes.find(std::string(name)));
    if (!record) return fail(ErrorKind::not_found, "get {}: no such volume", name);
    return render(context_, *record);
}

Result<apitypes::Volume> Volumes::create(const apitypes::VolumeCreateRequest& request) {
    if (!request.driver.empty() && request.driver != "local")
        return fail(ErrorKind::not_found,
                    "volume driver \"{}\" is not installed: only \"local\" is built in",
                    request.driver);
    VolumeRecord wanted{.name = request.name,
                        .created = 0,
                        .labels = apitypes::items(request.labels),
                        .options = apitypes::items(request.driver_opts),
                        .filled = false};
    TRY(parse_volume_options(wanted.options));
    if (wanted.name.empty()) {
        wanted.name = random_id();
        wanted.labels[std::string(anonymous_volume_label)] = "";
    }
    TRY(check_volume_name(wanted.name));
    const auto made = TRY(context_.volumes.create(std::move(wanted)));
    if (made.made)
        context_.events.publish(
            make_event("volume", "create", made.volume.name, {{"driver", "local"}}));
    return render(context_, made.volume);
}

Result<void> Volumes::remove(std::string_view name, bool force) {
    const auto record = TRY(context_.volumes.find(std::string(name)));
    if (!record) {
        if (force) return {};
        return fail(ErrorKind::not_found, "get {}: no such volume", name);
    }
    if (const auto user = user_of(context_, record->name))
        return fail(ErrorKind::conflict, "remove {}: volume is in use - [{}]", name, *user);
    TRY(context_.volumes.remove(record->name));
    context_.events.publish(make_event("volume", "destroy", record->name, {{"driver", "local"}}));
    return {};
}

Result<apitypes::VolumesPruned> Volumes::prune(const Filters& filters) {
    constexpr std::array known = {"label", "label!", "all"};
    TRY(check_filter_keys(filters, known));
    std::unique_lock prune(context_.prune, std::try_to_lock);
    if (!prune) return fail(ErrorKind::conflict, "a prune operation is already running");
    Filters chosen = filters;
    const auto all = filters.find("all");
    const bool named_too = all != filters.end() && std::ranges::any_of(all->second, is_true);
    chosen.erase("all");
    apitypes::VolumesPruned pruned;
    for (const auto& record : TRY(context_.volumes.list())) {
        if (!named_too && !is_anonymous(record)) continue;
        if (!matches(context_, record, chosen, Patterns({}, ""))) continue;
        const auto size = size_of(context_.volumes.mountpoint(record.name)).value_or(0);
        if (!remove(record.name, false)) continue;  // in use
        if (!pruned.volumes_deleted) pruned.volumes_deleted.emplace();
        pruned.volumes_deleted->push_back(record.name);
        pruned.space_reclaimed += size;
    }
    publish_prune_event(context_, "volume", pruned.space_reclaimed);
    return pruned;
}

Result<void> Volumes::export_archive(std::string_view name, const ByteSink& sink) const {
    TRY(inspect(name));
    const Fd top = TRY(context_.volume_mounts.open(std::string(name)));
    storage::FunctionSink out(sink);
    return storage::tar_from(top, "/.", out, {.nanoseconds = true});
}

Result<apitypes::Volume> Volumes::import_archive(std::string_view name, const ByteSource& source) {
    const std::string wanted(name);
    TRY(check_volume_name(wanted));
    if (TRY(context_.volumes.find(wanted)))
        return fail(ErrorKind::conflict, "there is a volume {} already: remove it first", name);
    const std::string prepared = TRY(context_.volumes.prepare());
    Rollback end;
    end.add([&] { context_.volumes.discard(prepared); });
    const Fd top = TRY(sys::open(prepared + "/_data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    BodySource body(source);
    const auto plain = TRY(storage::Decompressor::create(body));
    TRY(storage::untar_into(top, "/", *plain, {.limits = context_.config.layer_limits}));
    const auto made = TRY(context_.volumes.adopt(
        prepared, VolumeRecord{.name = wanted, .labels = {}, .options = {}, .filled = true}));
    context_.events.publish(make_event("volume", "create", wanted, {{"driver", "local"}}));
    return render(context_, made);
}

}  // namespace corten::engine
