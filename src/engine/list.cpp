// GET /containers/json: the list and its filters.
#include "filters.hpp"
#include "image_name.hpp"
#include "mount_plan.hpp"
#include "rendering.hpp"
#include "status_text.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <engine/containers.hpp>

#include <algorithm>
#include <array>

namespace corten::engine {

namespace {

constexpr std::array filter_keys = {"ancestor",  "before",  "exited", "expose", "health", "id",
                                    "isolation", "is-task", "label",  "label!", "name",   "network",
                                    "publish",   "since",   "status", "until",  "volume"};

struct Candidate {
    std::shared_ptr<Container> container;
    std::shared_ptr<const ContainerSpec> spec;
    ContainerState state;
};

constexpr std::array statuses = {"created",  "running", "paused", "restarting",
                                 "removing", "exited",  "dead"};

bool port_matches(const ContainerSpec& spec, const ContainerState& state, const std::string& wanted,
                  bool published) {
    const std::string port = wanted.find('/') == std::string::npos ? wanted + "/tcp" : wanted;
    const auto map = port_map(spec, state);
    const auto found = map.find(port);
    return found != map.end() && (!published || found->second.has_value());
}

bool volume_matches(const ContainerSpec& spec, const std::string& wanted) {
    return std::ranges::any_of(spec.mounts, [&](const PlannedMount& m) {
        return m.name == wanted || m.target == wanted || m.source == wanted;
    });
}

std::string health_of(const ContainerState& state) {
    return state.health.status.empty() ? "none" : state.health.status;
}

class ContainerFilter {
public:
    static Result<ContainerFilter> create(const Context& context, const Filters& filters) {
        ContainerFilter out(context, filters);
        for (const auto& [key, values] : filters)
            if (std::ranges::find(filter_keys, key) == filter_keys.end())
                return fail(ErrorKind::invalid, "invalid filter '{}'", key);
        TRY(out.check_statuses());
        TRY(out.read_bounds());
        TRY(out.read_ancestors());
        return out;
    }

    bool matches(const Candidate& c) const {
        if (c.spec->created >= before_ || c.spec->created <= since_) return false;
        return std::ranges::all_of(filters_, [&](const auto& filter) {
            return matches_any(c, filter.first, filter.second);
        });
    }

private:
    ContainerFilter(const Context& context, const Filters& filters)
        : context_(context), filters_(filters), ids_(filters, "id"), names_(filters, "name") {}

    Result<void> check_statuses() const {
        const auto values = filters_.find("status");
        if (values == filters_.end()) return {};
        for (const auto& value : values->second)
            if (std::ranges::find(statuses, value) == statuses.end())
                return fail(ErrorKind::invalid, "invalid filter 'status={}'", value);
        return {};
    }

    Result<void> read_bounds() {
        for (const auto& key : {"before", "since"}) {
            const auto values = filters_.find(key);
            if (values == filters_.end()) continue;
            for (const auto& ref : values->second) {
                const auto created = TRY(context_.containers.find(ref))->spec()->created;
                if (std::string_view(key) == "before")
                    before_ = std::min(before_, created);
                else
                    since_ = std::max(since_, created);
            }
        }
        if (const auto until = filters_.find("until"); until != filters_.end())
            for (const auto& text : until->second)
                before_ = std::min(before_, unix_nanoseconds(TRY(until_time(text))));
        return {};
    }

    /// Image ids that stand for the ancestors; children of an image count too.
    Result<void> read_ancestors() {
        const auto values = filters_.find("ancestor");
        if (values == filters_.end()) return {};
        for (const auto& text : values->second) {
            const auto name = parse_image_name(text);
            if (!name) continue;
            const auto found = context_.store->images().resolve(*name);
            if (found) TRY(add_descendants(found->id));
        }
        return {};
    }
    Result<void> add_descendants(const std::string& id) {
        ancestors_.push_back(id);
        for (const auto& child : TRY(context_.store->images().children(id)))
            TRY(add_descendants(child));
        return {};
    }

    bool matches_any(const Candidate& c, const std::string& key,
                     const std::vector<std::string>& values) const {
        if (key == "before" || key == "since" || key == "until") return true;  // bounds, see above
        if (key == "ancestor")
            return std::ranges::find(ancestors_, c.spec->image_id) != ancestors_.end();
        if (key == "id") return ids_.match(c.spec->id);
        if (key == "name") return names_.match(c.spec->name) || names_.match("/" + c.spec->name);
        const auto one = [&](const std::string& value) { return matches_one(c, key, value); };
        // Every label must be there; of other keys one value is enough.
        if (key == "label") return std::ranges::all_of(values, one);
        if (key == "label!")
            return std::ranges::none_of(
                values, [&](const auto& v) { return label_matches(c.spec->config.labels, v); });
        return std::ranges::any_of(values, one);
    }

    bool matches_one(const Candidate& c, const std::string& key, const std::string& value) const {
        if (key == "label") return label_matches(c.spec->config.labels, value);
        if (key == "status") return c.state.status == value;
        if (key == "exited")
            return c.state.status == "exited" && std::to_string(c.state.exit_code) == value;
        if (key == "health") return health_of(c.state) == value;
        if (key == "publish") return port_matches(*c.spec, c.state, value, true);
        if (key == "expose") return port_matches(*c.spec, c.state, value, false);
        if (key == "volume") return volume_matches(*c.spec, value);
        if (key == "network") return network_matches(c, value);
        if (key == "is-task") return value == "false" || value == "0";  // there are no tasks
        return key == "isolation";
    }

    bool network_matches(const Candidate& c, const std::string& value) const {
        const auto settings = endpoint_settings(context_, *c.spec, c.state);
        return std::ranges::any_of(settings, [&](const auto& entry) {
            return entry.first == value ||
                   (entry.second && entry.second->network_id.starts_with(value));
        });
    }

    const Context& context_;
    const Filters& filters_;
    Patterns ids_;
    Patterns names_;
    std::int64_t before_ = std::numeric_limits<std::int64_t>::max();
    std::int64_t since_ = std::numeric_limits<std::int64_t>::min();
    std::vector<std::string> ancestors_;
};

std::string quoted_command(const ContainerSpec& spec) {
    std::string command = spec.path;
    for (const auto& arg : spec.args) {
        const bool plain = arg.find_first_of(" \t\n'\"\\") == std::string::npos;
        command += plain ? " " + arg : " '" + arg + "'";
    }
    return command;
}

std::vector<apitypes::Port> listed_ports(const ContainerSpec& spec, const ContainerState& state) {
    std::vector<apitypes::Port> out;
    if (!state.is_running()) return out;
    for (const auto& [key, bindings] : port_map(spec, state)) {
        const auto [number, protocol] = split_once(key, '/');
        const int port = static_cast<int>(parse_integer(number, "port").value_or(0));
        if (!bindings) {
            out.push_back(
                {.ip = {}, .private_port = port, .public_port = 0, .type = std::string(protocol)});
            continue;
        }
        for (const auto& binding : *bindings)
            out.push_back({.ip = binding.host_ip,
                           .private_port = port,
                           .public_port = static_cast<int>(
                               parse_integer(binding.host_port, "port").value_or(0)),
                           .type = std::string(protocol)});
    }
    return out;
}

/// The image as the user named it while that name still means the same image, else its id.
std::string shown_image(const Context& context, const ContainerSpec& spec) {
    const auto name = parse_image_name(spec.image);
    if (!name) return spec.image_id;
    const auto found = context.store->images().resolve(*name);
    return found && found->id == spec.image_id ? spec.image : spec.image_id;
}

Result<apitypes::ContainerSummary> summary(const Context& context, const Candidate& c, bool size) {
    apitypes::ContainerSummary out;
    out.id = c.spec->id;
    out.names = {"/" + c.spec->name};
    out.image = shown_image(context, *c.spec);
    out.image_id = c.spec->image_id;
    out.command = quoted_command(*c.spec);
    out.created = c.spec->created / 1'000'000'000;
    out.ports = listed_ports(*c.spec, c.state);
    out.labels = c.spec->config.labels;
    out.state = c.state.status;
    out.status = status_text(c.state, now());
    out.host_config.network_mode = c.spec->host.network_mode;
    out.host_config.annotations = c.spec->host.annotations;
    out.network_settings.networks = endpoint_settings(context, *c.spec, c.state);
    out.mounts = mount_points(context, *c.spec);
    if (size) {
        out.size_rw =
            static_cast<std::int64_t>(TRY(context.store->snapshots().usage(c.spec->id)).bytes);
        out.size_root_fs =
            out.size_rw +
            static_cast<std::int64_t>(TRY(context.store->snapshots().parent_size(c.spec->id)));
    }
    return out;
}

}  // namespace

Result<std::vector<apitypes::ContainerSummary>> Containers::list(
    const ListContainers& request) const {
    const auto filter = TRY(ContainerFilter::create(context_, request.filters));
    const bool all = request.all || request.limit > 0 || request.filters.contains("status") ||
                     request.filters.contains("exited");
    std::vector<Candidate> candidates;
    for (auto& container : context_.containers.all())
        candidates.push_back(
            {.container = container, .spec = container->spec(), .state = container->state()});
    std::ranges::sort(candidates, std::ranges::greater(),
                      [](const Candidate& c) { return c.spec->created; });
    std::vector<apitypes::ContainerSummary> out;
    for (const auto& candidate : candidates) {
        if (!all && !candidate.state.counts_as_running()) continue;
        if (!filter.matches(candidate)) continue;
        if (request.limit > 0 && std::ssize(out) >= request.limit) break;
        auto entry = summary(context_, candidate, request.size);
        // Removed while the list was made.
        if (!entry && entry.error().kind() == ErrorKind::not_found) continue;
        out.push_back(TRY(std::move(entry)));
    }
    return out;
}

}  // namespace corten::engine
