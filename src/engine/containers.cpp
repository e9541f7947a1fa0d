#include "create.hpp"
#include "lifecycle.hpp"
#include "limits.hpp"
#include "mount_sources.hpp"
#include "names.hpp"
#include "network_attach.hpp"
#include "signals.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>
#include <engine/containers.hpp>
#include <proto/detach_keys.hpp>

#include <cgroup/group.hpp>

namespace corten::engine {

void publish_container_event(Context& context, const ContainerSpec& spec, std::string action,
                             std::map<std::string, std::string> more) {
    std::map<std::string, std::string> attributes = spec.config.labels;
    attributes["image"] = spec.image;
    attributes["name"] = spec.name;
    for (auto& [key, value] : more) attributes[key] = std::move(value);
    auto event = make_event("container", std::move(action), spec.id, std::move(attributes));
    event.status = event.action;
    event.id = spec.id;
    event.from = spec.image;
    context.events.publish(std::move(event));
}

void publish_prune_event(Context& context, std::string type, std::int64_t reclaimed) {
    context.events.publish(
        make_event(std::move(type), "prune", "", {{"reclaimed", std::to_string(reclaimed)}}));
}

Containers::Containers(Context& context) : context_(context) {}

Result<apitypes::CreateReply> Containers::create(CreateContainer request) {
    return create_container(context_, std::move(request));
}

Result<ContainerBrief> Containers::find(std::string_view ref) const {
    return TRY(context_.containers.find(ref))->brief();
}

Result<void> Containers::start(std::string_view ref) {
    return lifecycle::start(context_, TRY(context_.containers.find(ref)),
                            lifecycle::StartReason::asked);
}
Result<void> Containers::stop(std::string_view ref, const StopContainer& request) {
    return lifecycle::stop(context_, TRY(context_.containers.find(ref)), request);
}
Result<void> Containers::restart(std::string_view ref, const StopContainer& request) {
    return lifecycle::restart(context_, TRY(context_.containers.find(ref)), request);
}
Result<void> Containers::kill(std::string_view ref, std::string_view signal) {
    const auto container = TRY(context_.containers.find(ref));
    return lifecycle::kill(context_, container,
                           TRY(parse_signal(signal.empty() ? "KILL" : signal)));
}
Result<void> Containers::pause(std::string_view ref) {
    return lifecycle::pause(context_, TRY(context_.containers.find(ref)));
}
Result<void> Containers::unpause(std::string_view ref) {
    return lifecycle::unpause(context_, TRY(context_.containers.find(ref)));
}
Result<void> Containers::remove(std::string_view ref, const RemoveContainer& request) {
    return lifecycle::remove(context_, TRY(context_.containers.find(ref)), request);
}

Result<void> Containers::rename(std::string_view ref, std::string_view name) {
    const auto container = TRY(context_.containers.find(ref));
    const auto wanted = TRY(check_container_name(name));
    std::lock_guard operation(container->operation());
    TRY(check_present(*container, ref));
    ContainerSpec spec = *container->spec();
    const std::string old = spec.name;
    if (old == wanted)
        return fail(ErrorKind::invalid,
                    "Renaming a container with the same name as its current name");
    TRY(context_.containers.reserve_name(wanted, spec.id));
    spec.name = wanted;
    if (const auto kept = context_.container_store.update_spec(spec); !kept) {
        context_.containers.release_name(wanted, spec.id);
        return kept.error();
    }
    container->replace_spec(spec);
    context_.containers.release_name(old, spec.id);
    TRY(rename_endpoints(context_, *container));
    publish_container_event(context_, spec, "rename", {{"oldName", "/" + old}});
    return {};
}

Result<void> Containers::resize(std::string_view ref, std::uint16_t rows, std::uint16_t columns) {
    const auto container = TRY(context_.containers.find(ref));
    const auto supervisor = container->supervisor();
    if (!supervisor)
        return fail(ErrorKind::conflict, "container {} is not running", container->id());
    TRY(supervisor->call(
        proto::ResizeRequest{.exec_id = {}, .size = {.height = rows, .width = columns}}));
    publish_container_event(context_, *container->spec(), "resize",
                            {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
    return {};
}

namespace {

/// docker takes these and does nothing; here they are part of what a container is made with.
Result<void> check_updatable(const apitypes::Resources& wanted) {
    const std::pair<std::string_view, bool> named[] = {
        {"CgroupParent", !wanted.cgroup_parent.empty()},
        {"BlkioWeightDevice", !apitypes::items(wanted.blkio_weight_device).empty()},
        {"BlkioDeviceReadBps", !apitypes::items(wanted.blkio_device_read_bps).empty()},
        {"BlkioDeviceWriteBps", !apitypes::items(wanted.blkio_device_write_bps).empty()},
        {"BlkioDeviceReadIOps", !apitypes::items(wanted.blkio_device_read_iops).empty()},
        {"BlkioDeviceWriteIOps", !apitypes::items(wanted.blkio_device_write_iops).empty()},
        {"Devices", !apitypes::items(wanted.devices).empty()},
        {"DeviceCgroupRules", !apitypes::items(wanted.device_cgroup_rules).empty()},
        {"DeviceRequests", !apitypes::items(wanted.device_requests).empty()},
        {"KernelMemory", wanted.kernel_memory != 0},
        {"KernelMemoryTCP", wanted.kernel_memory_tcp != 0},
        {"MemorySwappiness", wanted.memory_swappiness.value_or(-1) != -1},
        {"OomKillDisable", wanted.oom_kill_disable.value_or(false)},
        {"Ulimits", !apitypes::items(wanted.ulimits).empty()}};
    for (const auto& [name, given] : named)
        if (given)
            return fail(ErrorKind::not_built, "{} of a container cannot be changed afterwards",
                        name);
    return {};
}

/// Limits that the request names replace the container's; 0 and null leave them.
void merge_limits(apitypes::Resources& limits, const apitypes::Resources& wanted) {
    const auto take = [](auto& mine, const auto& theirs) {
        if (theirs != std::remove_cvref_t<decltype(theirs)>{}) mine = theirs;
    };
    take(limits.cpu_shares, wanted.cpu_shares);
    take(limits.memory, wanted.memory);
    take(limits.nano_cpus, wanted.nano_cpus);
    take(limits.blkio_weight, wanted.blkio_weight);
    take(limits.cpu_period, wanted.cpu_period);
    take(limits.cpu_quota, wanted.cpu_quota);
    take(limits.cpu_realtime_period, wanted.cpu_realtime_period);
    take(limits.cpu_realtime_runtime, wanted.cpu_realtime_runtime);
    take(limits.cpuset_cpus, wanted.cpuset_cpus);
    take(limits.cpuset_mems, wanted.cpuset_mems);
    take(limits.memory_reservation, wanted.memory_reservation);
    take(limits.memory_swap, wanted.memory_swap);
    take(limits.pids_limit, wanted.pids_limit);
}

}  // namespace

Result<apitypes::UpdateReply> Containers::update(std::string_view ref,
                                                 const apitypes::UpdateRequest& request) {
    const auto container = TRY(context_.containers.find(ref));
    std::lock_guard operation(container->operation());
    TRY(check_present(*container, ref));
    ContainerSpec spec = *container->spec();
    if (request.memory > 0 && request.memory_swap == 0 && spec.host.memory_swap > 0 &&
        request.memory > spec.host.memory_swap)
        return fail(ErrorKind::conflict,
                    "Memory limit should be smaller than already set memoryswap limit, update the "
                    "memoryswap at the same time");
    TRY(check_updatable(request));
    merge_limits(spec.host, request);
    if (const auto& policy = request.restart_policy; !policy.name.empty()) {
        if (spec.host.auto_remove && policy.name != "no")
            return fail(ErrorKind::conflict,
                        "Cannot update container {}: Restart policy cannot be updated because "
                        "AutoRemove is enabled for the container",
                        spec.id);
        spec.host.restart_policy = policy;
        TRY(check_restart_policy(spec.host));
    }
    TRY(check_limits(spec.host, context_.facts));
    const auto state = container->state();
    if (state.is_running()) {
        const auto group = TRY(cgroup::Group::open(context_.facts.cgroups, state.cgroup_path));
        TRY(group.apply(TRY(linux_resources(spec.host))));
    }
    TRY(context_.container_store.update_spec(spec));
    container->replace_spec(spec);
    publish_container_event(context_, spec, "update");
    return apitypes::UpdateReply{};
}

namespace {

class ContainerWaiter final : public Waiter {
public:
    ContainerWaiter(std::shared_ptr<Container> container, std::shared_ptr<WaitSlot> slot)
        : container_(std::move(container)), slot_(std::move(slot)) {}
    ~ContainerWaiter() override { container_->end_wait(slot_); }

    Result<std::optional<WaitResult>> wait(FdView cancel) override {
        const FdView fds[] = {slot_->done.fd(), cancel};
        if (TRY(sys::wait_readable(fds)) != 0) return std::optional<WaitResult>();
        return slot_->result.with([](const WaitResult& r) -> Result<std::optional<WaitResult>> {
            return std::optional(r);
        });
    }

private:
    std::shared_ptr<Container> container_;
    std::shared_ptr<WaitSlot> slot_;
};

}  // namespace

Result<std::unique_ptr<Waiter>> Containers::begin_wait(std::string_view ref,
                                                       WaitCondition condition) {
    auto container = TRY(context_.containers.find(ref));
    auto slot = TRY(container->begin_wait(condition));
    return std::unique_ptr<Waiter>(
        std::make_unique<ContainerWaiter>(std::move(container), std::move(slot)));
}

Result<std::vector<apitypes::Change>> Containers::changes(std::string_view ref) const {
    const auto container = TRY(context_.containers.find(ref));
    std::vector<apitypes::Change> out;
    for (auto& change : TRY(context_.store->snapshots().changes(container->id())))
        out.push_back({.path = std::move(change.path), .kind = static_cast<int>(change.kind)});
    return out;
}

Result<apitypes::ContainersPruned> Containers::prune(const Filters& filters) {
    for (const auto& [key, values] : filters)
        if (key != "label" && key != "label!" && key != "until")
            return fail(ErrorKind::invalid, "invalid filter '{}'", key);
    std::unique_lock prune(context_.prune, std::try_to_lock);
    if (!prune) return fail(ErrorKind::conflict, "a prune operation is already running");
    ListContainers stopped{.all = true, .limit = 0, .size = true, .filters = filters};
    for (const char* status : {"created", "exited", "dead"})
        stopped.filters["status"].push_back(status);
    apitypes::ContainersPruned pruned;
    for (const auto& summary : TRY(list(stopped))) {
        if (!remove(summary.id, {})) continue;  // started or removed since it was listed
        if (!pruned.containers_deleted) pruned.containers_deleted.emplace();
        pruned.containers_deleted->push_back(summary.id);
        pruned.space_reclaimed += summary.size_rw;
    }
    publish_prune_event(context_, "container", pruned.space_reclaimed);
    return pruned;
}

}  // namespace corten::engine
