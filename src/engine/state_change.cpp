#include "state_change.hpp"

#include <base/ids.hpp>
#include <base/log.hpp>

namespace corten::engine {

Result<void> change_and_keep(ContainerStore& store, Container& container,
                             const StateChange& change) {
    ContainerState state = container.state();
    change(state);
    TRY(store.update_state(container.id(), state));
    container.change_state([&](ContainerState& current) { current = std::move(state); });
    return {};
}

bool note_change(Context& context, Container& container, const StateChange& change) {
    container.change_state(change);
    const auto kept = context.store->with_reserve(
        [&] { return context.container_store.update_state(container.id(), container.state()); });
    if (!kept) log::error("container {}: {}", short_id(container.id()), kept.error().message());
    return kept.has_value();
}

}  // namespace corten::engine
