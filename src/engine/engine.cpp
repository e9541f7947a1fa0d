#include "context.hpp"
#include "create.hpp"
#include "disk_owners.hpp"
#include "disk_pressure.hpp"
#include "lifecycle.hpp"

#include <apitypes/version.hpp>
#include <base/ids.hpp>
#include <base/log.hpp>
#include <base/text.hpp>
#include <engine/engine.hpp>
#include <engine/version.hpp>
#include <network/etc_files.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <cstdlib>

namespace corten::engine {

namespace {

/// Root's group may pass through to what lies in it; nobody but root may look into it.
constexpr mode_t data_root_mode = 0710;

Result<std::string> daemon_id(const std::string& data_root) {
    const std::string path = data_root + "/engine-id";
    if (sys::exists(path)) return std::string(trim(TRY(sys::read_file(path))));
    std::string id = random_id();
    TRY(sys::write_file_atomic(path, id + "\n", 0600, sys::Durability::survives_power));
    return id;
}

network::Options network_options(const Config& config) {
    network::Options options;
    options.bridge = config.bridge;
    options.bip = config.bridge_address;
    options.pool_size = static_cast<unsigned>(config.prepared_sandboxes);
    return options;
}

image::PullOptions pull_options(const Config& config) {
    image::PullOptions options;
    options.registry = config.registries;
    options.layer_limits = config.layer_limits;
    options.keep_blobs = config.keep_blobs;
    options.downloads = config.layers_at_a_time;
    return options;
}

Result<void> make_directories(const Config& config) {
    TRY(sys::make_directories(config.data_root, data_root_mode));
    TRY(sys::make_directories(config.data_root + "/containers", data_root_mode));
    TRY(sys::make_directories(config.exec_root + "/containers", 0700));
    TRY(sys::make_directories(config.exec_root + "/shm", 0700));
    return {};
}

/// The predefined networks keep their ids: they are recorded when they are seen first.
Result<void> record_networks(Context& context, const std::vector<network::Network>& known) {
    for (const auto& network : context.networks->list())
        if (std::ranges::find(known, network.id, &network::Network::id) == known.end())
            TRY(context.network_store.put(network));
    return {};
}

}  // namespace

Engine::Engine(std::unique_ptr<Context> context)
    : context_(std::move(context)),
      containers_(std::make_unique<Containers>(*context_)),
      execs_(std::make_unique<Execs>(*context_)),
      images_(std::make_unique<Images>(*context_)),
      networks_(std::make_unique<Networks>(*context_)),
      volumes_(std::make_unique<Volumes>(*context_)) {}

void Context::sweep() {
    const auto swept = store->sweep(sweeping.get_token());
    if (!swept && !closing) log::warning("sweep: {}", swept.error().message());
}

void Context::collect_garbage() {
    const auto collected = store->collect_garbage(sweeping.get_token());
    if (!collected && !closing) log::warning("collect garbage: {}", collected.error().message());
}

Engine::~Engine() {
    context_->closing = true;
    context_->ending.set();
    context_->sweeping.request_stop();
    context_->pump.reset();    // no more events; supervisors and containers run on
    context_->timers.close();  // before the workers, which timers give work to
}

namespace {

constexpr std::string_view no_default_profile =
    "AppArmor is on, but containers are not confined by it unless they are given a profile: "
    "apparmor_parser or securityfs is missing";

/// A container's start tries again, and then it is an error.
void prepare_apparmor(Context& context) {
    if (!context.facts.apparmor) return;
    if (context.facts.apparmor_parser.empty()) return log::warning("{}", no_default_profile);
    const auto loaded = context.apparmor.ensure_loaded(context.facts);
    if (!loaded) log::error("{}", loaded.error().message());
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(Config config) {
    TRY(network::check_resolv_conf({config.dns, config.dns_search, config.dns_options})
            .context("the daemon's name servers"));
    TRY(check_defaults(config));
    auto facts = TRY(HostFacts::read());
    TRY(make_directories(config));
    auto store = TRY(storage::Store::open(
        config.data_root, {.driver = config.storage_driver, .keep_blobs = config.keep_blobs}));
    auto container_store = TRY(ContainerStore::open(store->db()));
    auto volumes = TRY(VolumeStore::open(store->db(), config.data_root + "/volumes"));
    auto network_store = TRY(NetworkStore::open(store->db()));
    const auto recorded = TRY(network_store.load());
    auto networks = TRY(network::Networks::create(network_options(config), recorded));
    auto puller = std::make_unique<image::Puller>(*store, pull_options(config));
    std::string id = TRY(daemon_id(config.data_root));
    auto context = std::unique_ptr<Context>(new Context{.config = std::move(config),
                                                        .facts = std::move(facts),
                                                        .id = std::move(id),
                                                        .store = std::move(store),
                                                        .container_store = container_store,
                                                        .volumes = volumes,
                                                        .network_store = network_store,
                                                        .networks = std::move(networks),
                                                        .puller = std::move(puller),
                                                        .ending = TRY(sys::Event::create())});
    prepare_apparmor(*context);
    context->pump = TRY(proto::ShimPump::start());
    TRY(record_networks(*context, recorded));
    TRY(lifecycle::recover(*context));
    watch_disk(*context);
    return std::unique_ptr<Engine>(new Engine(std::move(context)));
}

EventHub& Engine::events() {
    return context_->events;
}
const Config& Engine::config() const {
    return context_->config;
}

namespace {

struct Counts {
    int running = 0;
    int paused = 0;
    int stopped = 0;
};

Counts count_containers(const Context& context) {
    Counts counts;
    for (const auto& container : context.containers.all()) {
        const auto status = container->state().status;
        if (status == "running")
            ++counts.running;
        else if (status == "paused")
            ++counts.paused;
        else
            ++counts.stopped;
    }
    return counts;
}

/// Whether a limit's file exists where containers' groups are.
bool has_limit(const HostFacts& facts, std::string_view controller, std::string_view v1_file) {
    if (facts.cgroups.unified()) return facts.cgroups.v2 && facts.cgroups.v2->has(controller);
    const auto* hierarchy = facts.cgroups.find(controller);
    return hierarchy &&
           (v1_file.empty() || sys::exists(fmt::format("{}/{}", hierarchy->mount_point, v1_file)));
}

void fill_limits(apitypes::Info& info, const HostFacts& facts) {
    info.memory_limit = has_limit(facts, "memory", "");
    info.swap_limit = has_limit(facts, "memory", "memory.memsw.limit_in_bytes");
    info.cpu_cfs_period = has_limit(facts, "cpu", "cpu.cfs_period_us");
    info.cpu_cfs_quota = has_limit(facts, "cpu", "cpu.cfs_quota_us");
    info.cpu_shares = has_limit(facts, "cpu", "cpu.shares");
    info.cpu_set = has_limit(facts, "cpuset", "");
    info.pids_limit = has_limit(facts, "pids", "");
    info.oom_kill_disable =
        !facts.cgroups.unified() && has_limit(facts, "memory", "memory.oom_control");
}

apitypes::RegistryConfig registry_config(const Config& config) {
    apitypes::RegistryConfig out;
    out.mirrors.emplace();
    for (const auto& mirror : config.registries.mirrors)
        if (mirror.names == image::default_domain) out.mirrors->push_back(mirror.url());
    out.index_configs["docker.io"] = {
        .mirrors = *out.mirrors, .name = "docker.io", .official = true, .secure = true};
    out.insecure_registry_cidrs = {"::1/128", "127.0.0.0/8"};
    for (const auto& entry : config.registries.insecure) {
        if (entry.find('/') != std::string::npos)
            out.insecure_registry_cidrs.push_back(entry);
        else
            out.index_configs[entry] = {
                .mirrors = {}, .name = entry, .official = false, .secure = false};
    }
    return out;
}

/// In the words of docker's daemon.
apitypes::Strings missing_limits(const apitypes::Info& info, const HostFacts& facts) {
    apitypes::Strings warnings;
    const auto need = [&](bool there, std::string_view what) {
        if (!there) warnings.push_back(fmt::format("WARNING: No {} support", what));
    };
    need(info.memory_limit, "memory limit");
    need(info.swap_limit, "swap limit");
    need(info.oom_kill_disable || facts.cgroups.unified(), "oom kill disable");
    need(info.cpu_cfs_quota, "cpu cfs quota");
    need(info.cpu_cfs_period, "cpu cfs period");
    need(info.cpu_shares, "cpu shares");
    need(info.cpu_set, "cpuset");
    need(info.pids_limit, "pids limit");
    if (!info.ipv4_forwarding) warnings.push_back("WARNING: IPv4 forwarding is disabled");
    return warnings;
}

/// What the daemon's environment says about a proxy, as http::proxy_for() reads it. Nobody learns
/// the password.
std::string proxy_setting(std::string name) {
    const char* value = std::getenv(name.c_str());
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    if (!value || !*value) value = std::getenv(name.c_str());
    std::string text = value ? value : "";
    const auto user = text.find("://");
    const auto host = text.rfind('@');
    if (user != std::string::npos && host != std::string::npos)
        text.replace(user + 3, host - user - 3, "xxxxx:xxxxx");
    return text;
}

std::string line_of(const std::string& path) {
    return std::string(trim(sys::read_file(path).value_or("")));
}

}  // namespace

Result<apitypes::Info> Engine::info() const {
    const auto& facts = context_->facts;
    const auto counts = count_containers(*context_);
    apitypes::Info info;
    info.id = context_->id;
    info.containers_running = counts.running;
    info.containers_paused = counts.paused;
    info.containers_stopped = counts.stopped;
    info.containers = counts.running + counts.paused + counts.stopped;
    info.images = static_cast<int>(TRY(context_->store->images().count()));
    info.driver = context_->store->driver().name();
    info.driver_status = {{"Backing Filesystem", file_system_name(context_->config.data_root)},
                          {"Supports d_type", "true"},
                          {"userxattr", "false"}};
    info.plugins.volume = {{"local"}};
    info.plugins.network = {{"bridge", "host", "null"}};
    info.plugins.log = {{"json-file", "none"}};
    fill_limits(info, facts);
    info.ipv4_forwarding = line_of("/proc/sys/net/ipv4/ip_forward") == "1";
    info.debug = context_->config.debug;
    info.open_descriptors = static_cast<int>(TRY(sys::list_directory("/proc/self/fd")).size());
    info.threads = static_cast<int>(TRY(sys::list_directory("/proc/self/task")).size());
    info.system_time = rfc3339(now());
    info.logging_driver = context_->config.log_driver;
    info.event_listeners = static_cast<int>(context_->events.subscribers());
    info.http_proxy = proxy_setting("http_proxy");
    info.https_proxy = proxy_setting("https_proxy");
    info.no_proxy = proxy_setting("no_proxy");
    info.cgroup_driver = "cgroupfs";
    info.cgroup_version = facts.cgroups.unified() ? "2" : "1";
    info.kernel_version = facts.kernel_release;
    info.operating_system = facts.operating_system;
    info.os_type = "linux";
    info.architecture = facts.architecture;
    info.index_server_address = "https://index.docker.io/v1/";
    info.registry_config = registry_config(context_->config);
    info.ncpu = facts.cpu_count;
    info.mem_total = facts.memory_bytes;
    info.docker_root_dir = context_->config.data_root;
    info.name = facts.hostname;
    info.labels = context_->config.labels;
    info.server_version = std::string(version_text);
    for (const char* name : {"corten", "runc"})  // one is built in, and has docker's name too
        info.runtimes[name] = {.path = "corten-runtime", .runtime_args = {}, .status = {}};
    info.default_runtime = "corten";
    info.live_restore_enabled = true;
    info.init_binary = "corten-init";
    if (facts.apparmor && !facts.apparmor_parser.empty())
        info.security_options.push_back("name=apparmor");
    auto warnings = missing_limits(info, facts);
    if (facts.apparmor && facts.apparmor_parser.empty())
        warnings.push_back(fmt::format("WARNING: {}", no_default_profile));
    if (!warnings.empty()) info.warnings = std::move(warnings);
    info.security_options.push_back("name=seccomp,profile=builtin");
    if (facts.cgroups.unified()) info.security_options.push_back("name=cgroupns");
    info.firewall_backend = apitypes::FirewallBackend{.driver = "nftables"};
    return info;
}

apitypes::Version Engine::version() const {
    const auto& facts = context_->facts;
    apitypes::Version out;
    out.platform.name = "Corten";
    out.version = std::string(version_text);
    out.api_version = to_string(apitypes::newest);
    out.min_api_version = to_string(apitypes::oldest);
    out.git_commit = std::string(source_commit);
    out.go_version = "none";
    out.os = "linux";
    out.arch = facts.architecture == "x86_64"    ? "amd64"
               : facts.architecture == "aarch64" ? "arm64"
                                                 : facts.architecture;
    out.kernel_version = facts.kernel_release;
    out.components.push_back({.name = "Engine",
                              .version = out.version,
                              .details = {{"ApiVersion", out.api_version},
                                          {"Arch", out.arch},
                                          {"BuildTime", ""},
                                          {"Experimental", "false"},
                                          {"GitCommit", out.git_commit},
                                          {"GoVersion", out.go_version},
                                          {"KernelVersion", out.kernel_version},
                                          {"MinAPIVersion", out.min_api_version},
                                          {"Os", out.os}}});
    return out;
}

Result<apitypes::DiskOwners> Engine::disk_owners() const {
    return find_disk_owners(*context_);
}

Result<apitypes::DiskUsage> Engine::disk_usage(const DiskUsageParts& parts) const {
    apitypes::DiskUsage out;
    if (parts.images) {
        out.layers_size = static_cast<std::int64_t>(TRY(context_->store->images().layers_size()));
        out.images = TRY(images_->list({.all = true, .shared_size = true}));
    }
    if (parts.containers)
        out.containers =
            TRY(containers_->list({.all = true, .limit = 0, .size = true, .filters = {}}));
    if (parts.volumes) out.volumes = TRY(volumes_->list_with_usage());
    if (parts.build_cache) out.build_cache.emplace();
    return out;
}

}  // namespace corten::engine
