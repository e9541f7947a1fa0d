#include "options.hpp"

#include <base/json.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <functional>

namespace corten::cortend {

namespace {

enum class Kind { text, list, flag };

/// One setting: its flag, its key in daemon.json, and where it goes.
struct Setting {
    std::string_view flag;  ///< without dashes
    std::string_view key;   ///< in daemon.json; empty: only a flag
    Kind kind;
    std::string_view help;
    std::function<Result<void>(Options&, const std::string&)> set;
};

Result<void> set_log_option(Options& options, const std::string& text) {
    const auto [key, value] = split_once(text, '=');
    if (value.empty()) return fail(ErrorKind::invalid, "--log-opt {}: wanted NAME=VALUE", text);
    options.engine.log_options[std::string(key)] = value;
    return {};
}

/// "nofile=1024:4096" or "nofile=1024".
Result<void> set_ulimit(Options& options, const std::string& text) {
    const auto [name, limits] = split_once(text, '=');
    const auto [soft, hard] = split_once(limits, ':');
    engine::Config::Ulimit limit;
    limit.soft = TRY(parse_integer(soft, "--default-ulimit"));
    limit.hard = hard.empty() ? limit.soft : TRY(parse_integer(hard, "--default-ulimit"));
    options.engine.default_ulimits[std::string(name)] = limit;
    return {};
}

Result<void> set_shm_size(Options& options, const std::string& text) {
    options.engine.default_shm_size = TRY(parse_size(text, "--default-shm-size"));
    return {};
}

Result<unsigned> percent(const std::string& text, std::string_view flag) {
    const auto value = TRY(parse_integer(text, flag));
    if (value < 0 || value > 100)
        return fail(ErrorKind::invalid, "{} {}: wanted 0 to 100", flag, text);
    return static_cast<unsigned>(value);
}

Result<void> set_gc_high(Options& options, const std::string& text) {
    options.engine.image_gc.high = TRY(percent(text, "--image-gc-high"));
    return {};
}

Result<void> set_gc_low(Options& options, const std::string& text) {
    options.engine.image_gc.low = TRY(percent(text, "--image-gc-low"));
    return {};
}

Result<void> add_hub_mirror(Options& options, const std::string& url) {
    options.engine.registries.mirrors.push_back(
        TRY(image::parse_mirror(image::default_domain, url)));
    return {};
}

/// "registry.example/team=https://mirror.example/team"
Result<void> add_mirror(Options& options, const std::string& text) {
    const auto [names, url] = split_once(text, '=');
    options.engine.registries.mirrors.push_back(TRY(image::parse_mirror(names, url)));
    return {};
}

Result<std::size_t> kept_ready(const std::string& text, const char* flag) {
    const auto count = TRY(parse_integer(text, flag));
    if (count < 0 || count > 64)
        return fail(ErrorKind::invalid, "{} {}: wanted 0 to 64", flag, text);
    return static_cast<std::size_t>(count);
}

Result<void> set_pool(Options& options, const std::string& text) {
    options.engine.prepared_sandboxes = TRY(kept_ready(text, "--prepared-sandboxes"));
    return {};
}

Result<void> set_spare_supervisors(Options& options, const std::string& text) {
    options.engine.spare_supervisors = TRY(kept_ready(text, "--spare-supervisors"));
    return {};
}

Result<void> set_layer_size(Options& options, const std::string& text) {
    const auto bytes = TRY(parse_size(text, "--max-layer-size"));
    if (bytes < 0) return fail(ErrorKind::invalid, "--max-layer-size {}: wanted a size", text);
    options.engine.layer_limits.bytes = static_cast<std::uint64_t>(bytes);
    return {};
}

Result<void> set_layer_entries(Options& options, const std::string& text) {
    const auto count = TRY(parse_integer(text, "--max-layer-entries"));
    if (count < 0) return fail(ErrorKind::invalid, "--max-layer-entries {}: wanted a number", text);
    options.engine.layer_limits.entries = static_cast<std::uint64_t>(count);
    return {};
}

Result<void> set_connections(Options& options, const std::string& text) {
    const auto count = TRY(parse_integer(text, "--connections-per-layer"));
    if (count < 1 || count > 6)
        return fail(ErrorKind::invalid, "--connections-per-layer {}: wanted 1 to 6", text);
    options.engine.registries.connections_per_layer = static_cast<int>(count);
    return {};
}

Result<void> set_downloads(Options& options, const std::string& text) {
    const auto count = TRY(parse_integer(text, "--max-concurrent-downloads"));
    if (count < 1 || count > 64)
        return fail(ErrorKind::invalid, "--max-concurrent-downloads {}: wanted 1 to 64", text);
    options.engine.layers_at_a_time = static_cast<std::size_t>(count);
    return {};
}

template <typename Member>
auto text_into(Member&& member) {
    return [member](Options& o, const std::string& text) -> Result<void> {
        member(o) = text;
        return {};
    };
}
template <typename Member>
auto add_to(Member&& member) {
    return [member](Options& o, const std::string& text) -> Result<void> {
        member(o).push_back(text);
        return {};
    };
}
template <typename Member>
auto switch_on(Member&& member) {
    return [member](Options& o, const std::string& text) -> Result<void> {
        if (text != "true" && text != "false")
            return fail(ErrorKind::invalid, "\"{}\" is neither true nor false", text);
        member(o) = text == "true";
        return {};
    };
}

const std::vector<Setting>& settings() {
    static const std::vector<Setting> all = {
        {"host", "hosts", Kind::list,
         "socket to listen on: unix://PATH or tcp://HOST:PORT (also -H)",
         add_to([](Options& o) -> auto& { return o.hosts; })},
        {"data-root", "data-root", Kind::text, "where images, containers and volumes are kept",
         text_into([](Options& o) -> auto& { return o.engine.data_root; })},
        {"storage-driver", "storage-driver", Kind::text,
         "how layers are kept: overlay or erofs (also -s; default: as they are there, else "
         "overlay)",
         text_into([](Options& o) -> auto& { return o.engine.storage_driver; })},
        {"exec-root", "exec-root", Kind::text, "where the state of running containers is kept",
         text_into([](Options& o) -> auto& { return o.engine.exec_root; })},
        {"pidfile", "pidfile", Kind::text, "file for the daemon's process id (also -p)",
         text_into([](Options& o) -> auto& { return o.pidfile; })},
        {"group", "group", Kind::text, "group that may use the socket (also -G)",
         text_into([](Options& o) -> auto& { return o.group; })},
        {"bridge", "bridge", Kind::text,
         "bridge interface for containers; made when it is missing (also -b)",
         text_into([](Options& o) -> auto& { return o.engine.bridge; })},
        {"bip", "bip", Kind::text, "address of the bridge, as 172.17.0.1/16",
         text_into([](Options& o) -> auto& { return o.engine.bridge_address; })},
        {"prepared-sandboxes", "prepared-sandboxes", Kind::text,
         "network sandboxes kept ready (default 4)", set_pool},
        {"spare-supervisors", "spare-supervisors", Kind::text, "supervisors kept ready (default 2)",
         set_spare_supervisors},
        {"cgroup-parent", "cgroup-parent", Kind::text, "parent of the containers' control groups",
         text_into([](Options& o) -> auto& { return o.engine.cgroup_parent; })},
        {"dns", "dns", Kind::list, "name server for containers",
         add_to([](Options& o) -> auto& { return o.engine.dns; })},
        {"dns-search", "dns-search", Kind::list, "search domain for containers",
         add_to([](Options& o) -> auto& { return o.engine.dns_search; })},
        {"dns-opt", "dns-opts", Kind::list, "resolver option for containers",
         add_to([](Options& o) -> auto& { return o.engine.dns_options; })},
        {"insecure-registry", "insecure-registries", Kind::list,
         "registry (host or CIDR) that may be used without TLS",
         add_to([](Options& o) -> auto& { return o.engine.registries.insecure; })},
        {"registry-mirror", "registry-mirrors", Kind::list, "URL that is asked before Docker Hub",
         add_hub_mirror},
        {"mirror", "mirrors", Kind::list,
         "asked before a registry or a part of it: HOST[/PATH]=URL, in order", add_mirror},
        {"allowed-registry", "allowed-registries", Kind::list,
         "HOST[/PATH] or *.DOMAIN; when given, no other is used",
         add_to([](Options& o) -> auto& { return o.engine.registries.allowed; })},
        {"blocked-registry", "blocked-registries", Kind::list,
         "HOST[/PATH] or *.DOMAIN that is never used",
         add_to([](Options& o) -> auto& { return o.engine.registries.blocked; })},
        {"connections-per-layer", "connections-per-layer", Kind::text,
         "most connections for a large layer that comes slowly (default 4)", set_connections},
        {"max-concurrent-downloads", "max-concurrent-downloads", Kind::text,
         "layers that are fetched at a time (default 3)", set_downloads},
        {"max-layer-size", "max-layer-size", Kind::text,
         "most that a layer or a volume's archive may inflate to (default 64GiB; 0: no limit)",
         set_layer_size},
        {"max-layer-entries", "max-layer-entries", Kind::text,
         "most entries that it may have (default 10000000; 0: no limit)", set_layer_entries},
        {"keep-blobs", "keep-blobs", Kind::flag,
         "keep the blobs of pulled layers, so that a push sends the same bytes anywhere",
         switch_on([](Options& o) -> auto& { return o.engine.keep_blobs; })},
        {"image-gc-high", "image-gc-high", Kind::text,
         "percent of the disk above which unused images are removed (default 0: never)",
         set_gc_high},
        {"image-gc-low", "image-gc-low", Kind::text,
         "percent at which that ends (default: at 10 below the high mark)", set_gc_low},
        {"label", "labels", Kind::list, "label of this daemon, NAME=VALUE",
         add_to([](Options& o) -> auto& { return o.engine.labels; })},
        {"log-driver", "log-driver", Kind::text, "json-file or none",
         text_into([](Options& o) -> auto& { return o.engine.log_driver; })},
        {"log-opt", "log-opts", Kind::list, "default of the log driver, NAME=VALUE",
         set_log_option},
        {"default-ulimit", "default-ulimits", Kind::list,
         "limit of every container, NAME=SOFT[:HARD]", set_ulimit},
        {"default-shm-size", "default-shm-size", Kind::text, "size of /dev/shm (default 64MiB)",
         set_shm_size},
        {"init-path", "init-path", Kind::text, "program for --init",
         text_into([](Options& o) -> auto& { return o.engine.init_program; })},
        {"shim-path", "", Kind::text, "the supervisor program",
         text_into([](Options& o) -> auto& { return o.engine.shim_program; })},
        {"tls", "tls", Kind::flag, "use TLS on tcp sockets",
         switch_on([](Options& o) -> auto& { return o.tls.enabled; })},
        {"tlsverify", "tlsverify", Kind::flag, "use TLS and demand client certificates",
         switch_on([](Options& o) -> auto& { return o.tls.verify; })},
        {"tlscacert", "tlscacert", Kind::text, "authority of the client certificates",
         text_into([](Options& o) -> auto& { return o.tls.ca; })},
        {"tlscert", "tlscert", Kind::text, "certificate of the daemon",
         text_into([](Options& o) -> auto& { return o.tls.certificate; })},
        {"tlskey", "tlskey", Kind::text, "its key",
         text_into([](Options& o) -> auto& { return o.tls.key; })},
        {"debug", "debug", Kind::flag, "log more (also -D)",
         switch_on([](Options& o) -> auto& { return o.engine.debug; })},
        {"remove-network", "", Kind::flag, "remove the bridge and firewall rules, then exit",
         switch_on([](Options& o) -> auto& { return o.remove_network; })},
        {"version", "", Kind::flag, "print the version (also -v)",
         switch_on([](Options& o) -> auto& { return o.show_version; })},
        {"help", "", Kind::flag, "print this",
         switch_on([](Options& o) -> auto& { return o.show_help; })},
    };
    return all;
}

std::string_view long_name(char short_name) {
    switch (short_name) {
        case 'H':
            return "host";
        case 'D':
            return "debug";
        case 'b':
            return "bridge";
        case 'p':
            return "pidfile";
        case 'G':
            return "group";
        case 's':
            return "storage-driver";
        case 'v':
            return "version";
        case 'h':
            return "help";
        default:
            return {};
    }
}

const Setting* find_flag(std::string_view flag) {
    for (const auto& setting : settings())
        if (setting.flag == flag) return &setting;
    return nullptr;
}

struct CommandLine {
    std::vector<std::pair<const Setting*, std::string>> values;
    std::string config_file = "/etc/corten/daemon.json";
    bool config_file_named = false;
};

struct Word {
    std::string name;
    std::optional<std::string> value;
    bool dashed = false;
};

/// "--name=value", "--name", "-Hvalue" and "-H".
Word read_word(std::string_view text) {
    Word word;
    if (text.starts_with("--")) {
        const auto [name, value] = split_once(text.substr(2), '=');
        word.name = name;
        if (text.find('=') != std::string_view::npos) word.value = value;
        word.dashed = true;
    } else if (text.starts_with('-') && text.size() > 1) {
        word.name = long_name(text[1]);
        if (word.name.empty()) word.name = text;
        if (text.size() > 2) word.value = text.substr(text[2] == '=' ? 3 : 2);
        word.dashed = true;
    }
    return word;
}

Result<CommandLine> read_command_line(std::span<const char* const> arguments) {
    CommandLine line;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        Word word = read_word(arguments[i]);
        if (!word.dashed)
            return fail(ErrorKind::invalid, "unknown argument: {}; see cortend --help",
                        arguments[i]);
        const bool is_file = word.name == "config-file";
        const Setting* setting = is_file ? nullptr : find_flag(word.name);
        if (!setting && !is_file)
            return fail(ErrorKind::invalid, "unknown flag: {}; see cortend --help", arguments[i]);
        if (!word.value && setting && setting->kind == Kind::flag) word.value = "true";
        if (!word.value) {
            if (i + 1 == arguments.size())
                return fail(ErrorKind::invalid, "flag needs an argument: {}", arguments[i]);
            word.value = arguments[++i];
        }
        if (is_file) {
            line.config_file = *word.value;
            line.config_file_named = true;
        } else {
            line.values.emplace_back(setting, *word.value);
        }
    }
    return line;
}

/// The texts a key of daemon.json stands for: lists have several, objects NAME=VALUE, for each
/// value when a name has a list of them.
Result<std::vector<std::string>> texts_of(std::string_view key, const Json& value) {
    std::vector<std::string> texts;
    const auto text = [](const Json& item) {
        return item.is_string() ? item.get<std::string>() : item.dump();
    };
    if (key == "default-ulimits" && value.is_object()) {
        for (const auto& [name, limit] : value.items())
            texts.push_back(fmt::format("{}={}:{}", limit.value("Name", name),
                                        limit.value("Soft", 0), limit.value("Hard", 0)));
    } else if (value.is_object()) {
        for (const auto& [name, item] : value.items())
            for (const auto& each : item.is_array() ? item : Json::array({item}))
                texts.push_back(name + "=" + text(each));
    } else if (value.is_array()) {
        for (const auto& item : value) texts.push_back(text(item));
    } else if (!value.is_null()) {
        texts.push_back(text(value));
    }
    return texts;
}

/// Keys that dockerd knows and that can say here only what is so anyway.
struct GivenKey {
    std::string_view key;
    bool value;
    std::string_view reason;
};
constexpr GivenKey given_keys[] = {
    {"iptables", true, "networks and published ports are made of rules, in a table of their own"},
    {"ip-forward", true, "containers reach others through this host"},
    {"ip-masq", true, "networks have com.docker.network.bridge.enable_ip_masquerade for it"},
    {"live-restore", true, "containers always outlive the daemon"},
    {"experimental", false, "nothing here is experimental"}};

/// Whether it was one of those.
Result<bool> is_given(const std::string& key, const Json& value) {
    // Published ports are reached by 127.0.0.1 too, without a proxy.
    if (key == "userland-proxy") return true;
    if (key == "features") {
        for (const auto& [feature, wanted] : value.items())
            if (wanted != Json(false))
                return fail(ErrorKind::not_built, "the feature \"{}\" is not implemented", feature);
        return true;
    }
    const auto* given = std::ranges::find(given_keys, key, &GivenKey::key);
    if (given == std::end(given_keys)) return false;
    if (value == Json(given->value)) return true;
    return fail(ErrorKind::not_built, "\"{}\": {} is not implemented: {}", key, value.dump(),
                given->reason);
}

Result<void> apply_config_file(Options& options, const CommandLine& line) {
    if (!line.config_file_named && !sys::exists(line.config_file)) return {};
    const Json document = TRY(parse_json(TRY(sys::read_file(line.config_file)), line.config_file));
    if (!document.is_object())
        return fail(ErrorKind::invalid, "{}: wanted an object", line.config_file);
    for (const auto& [key, value] : document.items()) {
        const Setting* found = nullptr;
        for (const auto& setting : settings())
            if (!setting.key.empty() && setting.key == key) found = &setting;
        if (!found && TRY(is_given(key, value).context(line.config_file))) continue;
        if (!found)
            return fail(ErrorKind::invalid, "{}: the key \"{}\" is not known", line.config_file,
                        key);
        for (const auto& [flag, unused] : line.values)
            if (flag == found)
                return fail(ErrorKind::invalid, "{}: \"{}\" is given as a flag and in the file",
                            line.config_file, key);
        for (const auto& text : TRY(texts_of(key, value)))
            TRY(found->set(options, text).context(key));
    }
    return {};
}

/// The programs that stand beside this one.
Result<void> fill_programs(Options& options) {
    char self[4096];
    const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self);
    if (length < 0) return fail_errno("readlink /proc/self/exe");
    std::string directory(self, static_cast<std::size_t>(length));
    directory.resize(directory.rfind('/'));
    if (options.engine.shim_program.empty())
        options.engine.shim_program = directory + "/corten-shim";
    if (options.engine.init_program.empty())
        options.engine.init_program = directory + "/corten-init";
    return {};
}

Result<void> check_absolute(const Options& options) {
    for (const auto& [what, path] : {std::pair("--data-root", options.engine.data_root),
                                     std::pair("--exec-root", options.engine.exec_root),
                                     std::pair("--pidfile", options.pidfile)})
        if (!path.starts_with('/'))
            return fail(ErrorKind::invalid, "{} {}: wanted an absolute path", what, path);
    return {};
}

Result<void> check_gc(engine::Config::ImageGc& marks) {
    if (marks.high == 0 && marks.low != 0)
        return fail(ErrorKind::invalid, "--image-gc-low without --image-gc-high");
    if (marks.low == 0) marks.low = marks.high > 10 ? marks.high - 10 : 0;
    if (marks.low > marks.high)
        return fail(ErrorKind::invalid, "--image-gc-low {} is above --image-gc-high {}", marks.low,
                    marks.high);
    return {};
}

}  // namespace

Result<Options> read_options(std::span<const char* const> arguments) {
    Options options;
    const CommandLine line = TRY(read_command_line(arguments));
    TRY(apply_config_file(options, line));
    for (const auto& [setting, value] : line.values)
        TRY(setting->set(options, value).context(fmt::format("--{}", setting->flag)));
    if (options.tls.verify) options.tls.enabled = true;
    TRY(fill_programs(options));
    TRY(check_absolute(options));
    TRY(check_gc(options.engine.image_gc));
    return options;
}

std::string help_text() {
    std::string text =
        "Usage: cortend [OPTIONS]\n\nThe container daemon. It speaks the Docker Engine "
        "API.\n\nOptions:\n";
    for (const auto& setting : settings())
        text += fmt::format("      --{:<22}{}\n", setting.flag, setting.help);
    text += fmt::format("      --{:<22}{}\n", "config-file",
                        "daemon.json to read (default /etc/corten/daemon.json)");
    return text;
}

}  // namespace corten::cortend
