#include "container.hpp"

namespace corten::engine {

namespace {

ContainerStatus status_of(std::string_view text) {
    using enum ContainerStatus;
    for (const auto status : {created, running, paused, restarting, removing, exited, dead})
        if (to_string(status) == text) return status;
    return dead;
}

}  // namespace

std::string_view to_string(ContainerStatus status) {
    switch (status) {
        case ContainerStatus::created:
            return "created";
        case ContainerStatus::running:
            return "running";
        case ContainerStatus::paused:
            return "paused";
        case ContainerStatus::restarting:
            return "restarting";
        case ContainerStatus::removing:
            return "removing";
        case ContainerStatus::exited:
            return "exited";
        case ContainerStatus::dead:
            return "dead";
    }
    return "dead";
}

Container::Container(ContainerSpec spec, ContainerState state) : id_(spec.id) {
    inner_.with([&](Inner& inner) {
        inner.spec = std::make_shared<const ContainerSpec>(std::move(spec));
        inner.state = std::move(state);
    });
}

std::shared_ptr<const ContainerSpec> Container::spec() const {
    return inner_.with([](const Inner& inner) { return inner.spec; });
}

ContainerState Container::state() const {
    return inner_.with([](const Inner& inner) { return inner.state; });
}

ContainerBrief Container::brief() const {
    return inner_.with([this](const Inner& inner) {
        return ContainerBrief{.id = id_,
                              .name = inner.spec->name,
                              .status = status_of(inner.state.status),
                              .tty = inner.spec->config.tty,
                              .running = inner.state.counts_as_running()};
    });
}

void Container::replace_spec(ContainerSpec spec) {
    auto shared = std::make_shared<const ContainerSpec>(std::move(spec));
    inner_.with([&](Inner& inner) { inner.spec = std::move(shared); });
}

std::shared_ptr<proto::ShimClient> Container::supervisor() const {
    return inner_.with([](const Inner& inner) { return inner.supervisor; });
}

void Container::set_supervisor(std::shared_ptr<proto::ShimClient> client, sys::PidRef process) {
    inner_.with([&](Inner& inner) {
        inner.supervisor = std::move(client);
        inner.supervisor_process = std::move(process);
    });
}

sys::PidRef Container::take_supervisor_process() {
    return inner_.with([](Inner& inner) {
        inner.supervisor.reset();
        return std::exchange(inner.supervisor_process, sys::PidRef());
    });
}

Result<std::shared_ptr<WaitSlot>> Container::begin_wait(WaitCondition condition) {
    auto done = TRY(sys::Event::create());
    auto slot = std::shared_ptr<WaitSlot>(
        new WaitSlot{.condition = condition, .done = std::move(done), .result = {}});
    inner_.with([&](Inner& inner) {
        const bool holds = inner.removed || (condition == WaitCondition::not_running &&
                                             !inner.state.counts_as_running());
        if (holds) {
            slot->result.with(
                [&](WaitResult& r) { r = {inner.state.exit_code, inner.state.error}; });
            slot->done.set();
        } else {
            inner.waits.insert(slot);
        }
    });
    return slot;
}

void Container::end_wait(const std::shared_ptr<WaitSlot>& slot) {
    inner_.with([&](Inner& inner) { inner.waits.erase(slot); });
}

void Container::notify_exit(WaitResult result) {
    inner_.with([&](Inner& inner) {
        for (auto at = inner.waits.begin(); at != inner.waits.end();) {
            // What waits for the removal gets this exit's code, but only once that has happened.
            (*at)->result.with([&](WaitResult& r) { r = result; });
            const bool over = (*at)->condition == WaitCondition::next_exit ||
                              ((*at)->condition == WaitCondition::not_running &&
                               inner.state.status != "restarting");
            if (over) (*at)->done.set();
            at = over ? inner.waits.erase(at) : std::next(at);
        }
    });
}

void Container::notify_removed() {
    inner_.with([&](Inner& inner) {
        inner.removed = true;
        for (const auto& slot : inner.waits) {
            slot->result.with([&](WaitResult& r) { r = {inner.state.exit_code, {}}; });
            slot->done.set();
        }
        inner.waits.clear();
    });
}

bool Container::is_removed() const {
    return inner_.with([](const Inner& inner) { return inner.removed; });
}

Result<void> check_present(const Container& container, std::string_view ref) {
    if (!container.is_removed()) return {};
    return fail(ErrorKind::not_found, "No such container: {}", ref);
}

void Container::add_exec(const std::string& id) {
    inner_.with([&](Inner& inner) { inner.execs.insert(id); });
}
void Container::remove_exec(const std::string& id) {
    inner_.with([&](Inner& inner) { inner.execs.erase(id); });
}
std::vector<std::string> Container::execs() const {
    return inner_.with([](const Inner& inner) {
        return std::vector<std::string>(inner.execs.begin(), inner.execs.end());
    });
}

Result<std::shared_ptr<Container>> ContainerTable::find(std::string_view ref) const {
    const std::string_view name = ref.starts_with('/') ? ref.substr(1) : ref;
    return tables_.with([&](const Tables& tables) -> Result<std::shared_ptr<Container>> {
        if (const auto exact = tables.by_id.find(ref); exact != tables.by_id.end())
            return exact->second;
        if (const auto named = tables.id_of_name.find(name); named != tables.id_of_name.end())
            // A name is reserved a moment before its container can be found.
            if (const auto by_id = tables.by_id.find(named->second); by_id != tables.by_id.end())
                return by_id->second;
        const auto first = ref.empty() ? tables.by_id.end() : tables.by_id.lower_bound(ref);
        if (first == tables.by_id.end() || !first->first.starts_with(ref))
            return fail(ErrorKind::not_found, "No such container: {}", ref);
        if (const auto second = std::next(first);
            second != tables.by_id.end() && second->first.starts_with(ref))
            return fail(ErrorKind::invalid, "Multiple IDs found with provided prefix: {}", ref);
        return first->second;
    });
}

std::vector<std::shared_ptr<Container>> ContainerTable::all() const {
    return tables_.with([](const Tables& tables) {
        std::vector<std::shared_ptr<Container>> list;
        list.reserve(tables.by_id.size());
        for (const auto& [id, container] : tables.by_id) list.push_back(container);
        return list;
    });
}

Result<void> ContainerTable::reserve_name(const std::string& name, const std::string& id) {
    return tables_.with([&](Tables& tables) -> Result<void> {
        const auto [at, inserted] = tables.id_of_name.emplace(name, id);
        if (!inserted && at->second != id)
            return fail(ErrorKind::conflict,
                        "Conflict. The container name \"/{}\" is already in use by container "
                        "\"{}\". You have "
                        "to remove (or rename) that container to be able to reuse that name.",
                        name, at->second);
        return {};
    });
}

void ContainerTable::release_name(const std::string& name, const std::string& id) {
    tables_.with([&](Tables& tables) {
        const auto at = tables.id_of_name.find(name);
        if (at != tables.id_of_name.end() && at->second == id) tables.id_of_name.erase(at);
    });
}

void ContainerTable::insert(std::shared_ptr<Container> container) {
    tables_.with([&](Tables& tables) { tables.by_id[container->id()] = container; });
}

void ContainerTable::erase(const std::string& id) {
    tables_.with([&](Tables& tables) {
        tables.by_id.erase(id);
        std::erase_if(tables.id_of_name, [&](const auto& entry) { return entry.second == id; });
    });
}

}  // namespace corten::engine
