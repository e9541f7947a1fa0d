// cortend: reads its options, opens the engine, serves its API until it is told to end.
#include "options.hpp"

#include <api/api.hpp>
#include <base/log.hpp>
#include <base/text.hpp>
#include <engine/engine.hpp>
#include <engine/version.hpp>
#include <http/server.hpp>
#include <http/tls.hpp>
#include <network/networks.hpp>
#include <sys/file.hpp>
#include <sys/memory.hpp>
#include <sys/resource.h>
#include <sys/socket.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace corten::cortend {

namespace {

constexpr std::string_view unix_scheme = "unix://";
constexpr std::string_view tcp_scheme = "tcp://";
constexpr std::string_view docker_socket = "/run/docker.sock";

/// A few arenas are enough, and what a burst took is given back: an idle daemon stays small.
void keep_memory_small() {
    ::mallopt(M_ARENA_MAX, 2);
    ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
    ::mallopt(M_MMAP_THRESHOLD, 256 << 10);
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);  // never above the hard limit, so it cannot be refused
}

/// Signals that end the daemon are taken by wait_for_end(), in no handler.
sigset_t block_signals() {
    sigset_t ending;
    ::sigemptyset(&ending);
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) ::sigaddset(&ending, signal);
    ::sigprocmask(SIG_BLOCK, &ending, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    return ending;
}

/// Holds the pid file's lock as long as the process lives, so that a stale file stops nobody.
Result<Fd> write_pidfile(const std::string& path) {
    TRY(sys::make_directories(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1))));
    Fd fd = TRY(sys::open(path, O_RDWR | O_CREAT, 0644));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    if (::fcntl(fd.raw(), F_OFD_SETLK, &lock) < 0)
        return fail(ErrorKind::conflict, "{}: another cortend is running with this pid file", path);
    if (::ftruncate(fd.raw(), 0) < 0) return fail_errno("truncate {}", path);
    TRY(sys::write_all(fd, fmt::format("{}\n", ::getpid())));
    return fd;
}

/// A group's number by its name in /etc/group, or the number itself. Read here and not through the
/// C library, whose name services stay in the memory of a daemon that asks once.
std::optional<gid_t> group_id(const std::string& name) {
    if (const auto number = parse_integer(name, "group")) return static_cast<gid_t>(*number);
    const auto text = sys::read_file("/etc/group");
    if (!text) return {};
    for (const auto& line : split(*text, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() < 3 || fields[0] != name) continue;
        if (const auto number = parse_integer(fields[2], "group"))
            return static_cast<gid_t>(*number);
    }
    return {};
}

std::vector<std::string> default_hosts(const Options& options) {
    std::vector<std::string> hosts = {std::string(unix_scheme) + options.engine.exec_root +
                                      "/corten.sock"};
    // Where docker's clients look, when no other engine listens there.
    const bool standard = options.engine.exec_root == "/run/corten";
    if (standard && !sys::connect_unix(std::string(docker_socket), sys::SocketType::stream))
        hosts.push_back(std::string(unix_scheme) + std::string(docker_socket));
    return hosts;
}

Result<void> listen_unix(http::Server& server, const std::string& path, const Options& options) {
    TRY(sys::make_directories(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1))));
    return server.listen_unix({.path = path, .mode = 0660, .group = group_id(options.group)});
}

Result<void> listen_tcp(http::Server& server, std::string_view address,
                        std::shared_ptr<const http::TlsAcceptor> tls) {
    const auto colon = address.rfind(':');
    if (colon == std::string_view::npos)
        return fail(ErrorKind::invalid, "-H tcp://{}: wanted tcp://HOST:PORT", address);
    const std::string host(address.substr(0, colon));
    const std::string port(address.substr(colon + 1));
    if (!tls)
        log::warning(
            "tcp://{} is open to everybody who can reach it, and gives root on this machine: use "
            "--tlsverify",
            address);
    TRY(server.listen_tcp(host, port, std::move(tls)));
    return {};
}

Result<void> listen(http::Server& server, const Options& options) {
    std::shared_ptr<const http::TlsAcceptor> tls;
    if (options.tls.enabled)
        tls = TRY(http::make_tls_acceptor(
            {.certificate_file = options.tls.certificate,
             .key_file = options.tls.key,
             .client_ca_file = options.tls.verify ? options.tls.ca : std::string()}));
    for (const auto& host : options.hosts.empty() ? default_hosts(options) : options.hosts) {
        if (host.starts_with(unix_scheme))
            TRY(listen_unix(server, host.substr(unix_scheme.size()), options));
        else if (host.starts_with(tcp_scheme))
            TRY(listen_tcp(server, std::string_view(host).substr(tcp_scheme.size()), tls));
        else
            return fail(ErrorKind::invalid, "-H {}: wanted unix://PATH or tcp://HOST:PORT", host);
        log::info("API listen on {}", host);
    }
    return {};
}

Result<void> remove_network(const Options& options) {
    network::Options network;
    network.bridge = options.engine.bridge;
    network.bip = options.engine.bridge_address;
    network.pool_size = 0;
    const auto networks = TRY(network::Networks::create(network));
    return networks->remove();
}

/// Returns the signal. Meanwhile gives back, every now and then, what a burst of work has left.
int wait_for_end(const sigset_t& ending) {
    constexpr timespec interval{.tv_sec = 10, .tv_nsec = 0};
    for (;;) {
        const int signal = ::sigtimedwait(&ending, nullptr, &interval);
        if (signal > 0) return signal;
        sys::release_heap();
        sys::release_program_pages();
    }
}

Result<int> serve(const Options& options) {
    const sigset_t ending = block_signals();
    const Fd pidfile = TRY(write_pidfile(options.pidfile));
    auto engine = TRY(engine::Engine::open(options.engine));
    api::Api api(*engine, {.engine_version = std::string(engine::version_text)});
    http::ServerOptions server_options;
    server_options.on_error = [](const Error& error) { log::warning("{}", error.message()); };
    auto server = http::Server::create(api.handler(), server_options);
    TRY(listen(*server, options));
    TRY(server->start());
    log::info("cortend {} ready", engine::version_text);
    const int signal = wait_for_end(ending);
    log::info("signal {}: ending; containers run on", signal);
    const auto hanging = server->stop(std::chrono::seconds(5));
    for (const auto& line : hanging) log::warning("still busy: {}", line);
    ::unlink(options.pidfile.c_str());
    // Everything that matters is on disk; a handler that hangs must not keep the process.
    if (!hanging.empty()) ::_exit(0);
    return 0;
}

Result<int> run(std::span<const char* const> arguments) {
    const Options options = TRY(read_options(arguments));
    if (options.show_help) {
        std::fputs(help_text().c_str(), stdout);
        return 0;
    }
    if (options.show_version) {
        std::fputs(fmt::format("Corten version {}, build {}\n", engine::version_text,
                               engine::source_commit)
                       .c_str(),
                   stdout);
        return 0;
    }
    if (options.engine.debug) log::set_level(log::Level::debug);
    if (::geteuid() != 0) return fail(ErrorKind::forbidden, "cortend needs to be started as root");
    keep_memory_small();
    raise_descriptor_limit();
    ::umask(0022);
    if (options.remove_network) {
        TRY(remove_network(options));
        return 0;
    }
    return serve(options);
}

}  // namespace

}  // namespace corten::cortend

int main(int argc, char** argv) {
    const auto code = corten::cortend::run(
        std::span<const char* const>(argv + 1, static_cast<std::size_t>(argc - 1)));
    if (code) return *code;
    corten::log::error("{}", code.error().message());
    return 1;
}
