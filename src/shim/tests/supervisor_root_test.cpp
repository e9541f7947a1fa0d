// The real supervisor program with real containers: busybox in a directory as root file system.
#include <base/ids.hpp>
#include <base/text.hpp>
#include <proto/detach_keys.hpp>
#include <proto/shim_pump.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/process.hpp>
#include <sys/socket.hpp>

#include <cgroup/group.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <logfile/reader.hpp>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

namespace corten {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto busybox = "/bin/busybox";

std::string own_directory() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

Json mount(const char* destination, const char* type, std::vector<std::string> options = {}) {
    return {{"destination", destination}, {"type", type}, {"source", type}, {"options", options}};
}

Json process_of(const std::vector<std::string>& args) {
    return {{"user", {{"uid", 0}, {"gid", 0}}},
            {"args", args},
            {"env", {"PATH=/bin", "TERM=xterm"}},
            {"cwd", "/"}};
}

/// Reads until `wanted` has come or five seconds are over; gives all that came.
std::string read_until(const Fd& fd, std::string_view wanted) {
    std::string out;
    char buffer[4096];
    const FdView view = fd;
    while (out.find(wanted) == std::string::npos) {
        const auto ready = sys::wait_readable({&view, 1}, 5000ms);
        if (!ready || !*ready) break;
        const auto got = sys::read_some(fd, buffer);
        if (!got || *got == 0) break;
        out.append(buffer, *got);
    }
    return out;
}

/// Calls `take` with all that comes until the end, which has to come within half a minute.
void read_all(const Fd& fd, const std::function<void(std::string_view)>& take) {
    std::vector<char> buffer(256 << 10);
    const FdView view = fd;
    while (sys::wait_readable({&view, 1}, 30'000ms)->has_value()) {
        const auto got = sys::read_some(fd, buffer);
        if (!got || *got == 0) return;
        take({buffer.data(), *got});
    }
    ADD_FAILURE() << "the stream does not end";
}

std::string read_to_end(const Fd& fd) {
    std::string out;
    read_all(fd, [&](std::string_view bytes) { out += bytes; });
    return out;
}

std::size_t count_to_end(const Fd& fd) {
    std::size_t count = 0;
    read_all(fd, [&](std::string_view bytes) { count += bytes.size(); });
    return count;
}

class SupervisorTest : public testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root";
        if (!sys::exists(busybox)) GTEST_SKIP() << "needs busybox-static";
        char name[] = "/tmp/corten-shim-test-XXXXXX";
        directory_ = ::mkdtemp(name);
        id_ = directory_.substr(directory_.rfind('/') + 1);
        make_root();
        pump_ = std::move(proto::ShimPump::start()).value();
        spawn_supervisor();
    }

    void TearDown() override {
        if (!pump_) return;
        if (client_ && !ended_) {
            client_->call(proto::SignalRequest{.number = SIGKILL}).ignore();
            if (started_) wait_for("exited");
            EXPECT_TRUE(client_->call(proto::ReleaseRequest{}));
            expect_end();
            EXPECT_FALSE(sys::exists(directory_ + "/shim.sock"));
        }
        EXPECT_FALSE(sys::exists("/sys/fs/cgroup/memory/corten-shim-test/" + id_));
        EXPECT_FALSE(sys::exists("/sys/fs/cgroup/corten-shim-test/" + id_));
        EXPECT_TRUE(sys::remove_tree(directory_));
    }

    void make_root() {
        const std::string root = directory_ + "/root";
        for (const char* made : {"/bin", "/proc", "/dev", "/sys", "/tmp"})
            ASSERT_TRUE(sys::make_directories(root + made));
        std::filesystem::copy_file(busybox, root + "/bin/busybox");
        for (const char* applet : {"sh", "cat", "sleep", "echo", "stty", "kill", "yes", "head",
                                   "true", "false", "ps", "dd", "tty", "id", "printf"})
            std::filesystem::create_symlink("busybox", root + "/bin/" + applet);
    }

    void spawn_supervisor() {
        auto pair = std::move(sys::socket_pair(sys::SocketType::seqpacket)).value();
        sys::SpawnRequest request{.program = own_directory() + "/corten-shim",
                                  .arguments = {directory_, cgroup_path()},
                                  .fds = {{pair.second, 3}, {FdView(2), 2}},
                                  .new_session = true};
        supervisor_ = std::move(sys::spawn(request)).value();
        client_ = pump_->add(std::move(pair.first), handlers()).value();
    }

    void expect_end() {
        EXPECT_TRUE(supervisor_.wait());
        ended_ = true;
    }

    std::string cgroup_path() const { return "/corten-shim-test/" + id_; }
    bool has_group() const {
        const auto group = cgroup::Group::open(cgroup::Layout::detect().value(), cgroup_path());
        return group && group->valid();
    }

    proto::ShimHandlers handlers() {
        return {.on_event =
                    [this](const proto::Event& event) {
                        std::lock_guard lock(mutex_);
                        events_.push_back(event);
                        arrived_.notify_all();
                    },
                .on_closed = {}};
    }

    Json wait_for(std::string_view type) {
        std::unique_lock lock(mutex_);
        const auto find = [&] { return std::ranges::find(events_, type, &proto::Event::type); };
        if (!arrived_.wait_for(lock, 10s, [&] { return find() != events_.end(); })) {
            ADD_FAILURE() << "no event " << type;
            return {{"code", -1}};
        }
        const auto found = find();
        Json body = std::move(found->body);
        events_.erase(found);
        return body;
    }

    Json spec(const std::vector<std::string>& args) const {
        Json namespaces = Json::array();
        for (const char* type : {"pid", "mount", "ipc", "uts", "network"})
            namespaces.push_back({{"type", type}});
        return {{"ociVersion", "1.0.2"},
                {"process", process_of(args)},
                {"root", {{"path", directory_ + "/root"}}},
                {"hostname", "shimtest"},
                {"mounts",
                 {mount("/proc", "proc"), mount("/dev", "tmpfs", {"mode=755"}),
                  mount("/dev/pts", "devpts", {"newinstance", "ptmxmode=0666", "mode=0620"})}},
                {"linux", {{"namespaces", namespaces}, {"cgroupsPath", cgroup_path()}}}};
    }

    proto::StartRequest request(const std::vector<std::string>& args) const {
        return {.id = id_,
                .spec = dump_json(spec(args)),
                .log = {.path = log_path()},
                .exit_file = directory_ + "/exit"};
    }

    Result<proto::StartReply> start(const proto::StartRequest& wanted) {
        auto reply = client_->call(wanted);
        started_ = reply.has_value();
        return reply;
    }
    void run(const proto::StartRequest& wanted) {
        const auto reply = start(wanted);
        ASSERT_TRUE(reply) << reply.error().message();
    }
    static std::vector<std::string> shell(const std::string& script) {
        return {"/bin/sh", "-c", script};
    }

    Fd attach(proto::AttachOptions options, bool terminal = false) {
        auto [ours, theirs] = sys::socket_pair(sys::SocketType::stream).value();
        const auto attached =
            client_->call(proto::AttachRequest{.terminal = terminal, .options = std::move(options)},
                          {{"client", theirs}});
        EXPECT_TRUE(attached) << attached.error().message();
        return std::move(ours);
    }

    std::string log_path() const { return directory_ + "/log"; }
    std::string logged() const {
        auto reader = logfile::Reader::open(log_path(), {}).value();
        std::string out;
        while (const auto* entry = reader.next().value()) out += entry->text;
        return out;
    }
    proto::StateReply state() { return client_->call(proto::StateRequest{}).value(); }
    static void type(const Fd& fd, std::string_view text) { ASSERT_TRUE(sys::write_all(fd, text)); }

    std::string directory_;
    std::string id_;
    std::unique_ptr<proto::ShimPump> pump_;
    sys::OwnedChild supervisor_;
    std::shared_ptr<proto::ShimClient> client_;
    bool started_ = false;
    bool ended_ = false;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<proto::Event> events_;
};

const proto::AttachOptions whole{.use_stdin = true, .use_stdout = true, .use_stderr = true};

TEST_F(SupervisorTest, MakesTheGroupBeforeItIsAskedToStart) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!has_group() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(has_group());
    EXPECT_TRUE(client_->call(proto::ReleaseRequest{}));
    expect_end();
    EXPECT_FALSE(has_group()) << "it was never started";
}

TEST_F(SupervisorTest, ExitCodeIsInEventFileAndState) {
    run(request(shell("echo out; echo err >&2; exit 7")));
    EXPECT_EQ(wait_for("exited")["code"], 7);
    EXPECT_THAT(logged(), testing::AllOf(HasSubstr("out\n"), HasSubstr("err\n")));
    const auto file = parse_as<proto::ExitRecord>(*sys::read_file(directory_ + "/exit"), "exit");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->code, 7);
    EXPECT_FALSE(file->signalled);
    EXPECT_EQ(state().status, "stopped");
    started_ = false;
}

TEST_F(SupervisorTest, SignalIsAnExitCodeToo) {
    run(request({"/bin/sleep", "100"}));
    EXPECT_EQ(state().status, "running");
    ASSERT_TRUE(client_->call(proto::SignalRequest{.number = SIGKILL}));
    const Json ended = wait_for("exited");
    EXPECT_EQ(ended["code"], 137);
    EXPECT_EQ(ended["signalled"], true);
    started_ = false;
}

TEST_F(SupervisorTest, FailedStartIsATypedErrorAndLeavesNothing) {
    const auto failed = start(request({"/bin/nothing"}));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().number(), ENOENT);
    EXPECT_THAT(failed.error().message(), HasSubstr("nothing"));
    EXPECT_EQ(state().status, "created");
    EXPECT_FALSE(has_group());
    run(request({"/bin/true"}));
    EXPECT_EQ(wait_for("exited")["code"], 0) << "a second start may work";
    started_ = false;
}

TEST_F(SupervisorTest, AttachBeforeStartAndHalfClose) {
    auto options = whole;
    options.framed = true;
    options.preread = base64_encode("one\n");
    const Fd client = attach(options);
    type(client, "two\n");
    ASSERT_TRUE(sys::shutdown_write(client));
    auto wanted = request({"/bin/cat"});
    wanted.open_stdin = true;
    wanted.stdin_once = true;
    run(wanted);
    EXPECT_EQ(wait_for("exited")["code"], 0);
    std::string payload;
    const std::string frames = read_to_end(client);
    for (std::size_t at = 0; at + 8 <= frames.size();) {
        const auto length = static_cast<std::size_t>(static_cast<unsigned char>(frames[at + 7]));
        EXPECT_EQ(frames[at], 1);
        payload += frames.substr(at + 8, length);
        at += 8 + length;
    }
    EXPECT_EQ(payload, "one\ntwo\n");
    started_ = false;
}

TEST_F(SupervisorTest, TerminalSession) {
    const Fd client = attach(whole, true);
    ASSERT_TRUE(client_->call(proto::ResizeRequest{.size = {.height = 33, .width = 99}}));
    auto wanted = request({"/bin/sh"});
    wanted.terminal = true;
    wanted.open_stdin = true;
    run(wanted);
    type(client, "stty size; tty\n");
    EXPECT_THAT(read_until(client, "/dev/"), HasSubstr("33 99"));
    ASSERT_TRUE(client_->call(proto::ResizeRequest{.size = {.height = 44, .width = 111}}));
    type(client, "stty size\n");
    EXPECT_THAT(read_until(client, "44 111"), HasSubstr("44 111"));
    auto second = whole;
    second.detach_keys = proto::default_detach_keys;
    const Fd other = attach(second, true);
    type(other, "\x10\x11");
    wait_for("detached");
    read_to_end(other);
    type(client, "exit 3\n");
    EXPECT_EQ(wait_for("exited")["code"], 3);
    read_to_end(client);
    started_ = false;
}

TEST_F(SupervisorTest, ExecWithClientCaptureAndFailure) {
    run(request({"/bin/sleep", "100"}));
    auto [ours, theirs] = sys::socket_pair(sys::SocketType::stream).value();
    const auto exec = client_->call(
        proto::ExecRequest{.exec_id = "one",
                           .process = dump_json(process_of(shell("cat; echo $$; exit 5"))),
                           .open_stdin = true,
                           .attach = whole},
        {{"client", theirs}});
    theirs.reset();
    ASSERT_TRUE(exec) << exec.error().message();
    type(ours, "input\n");
    ASSERT_TRUE(sys::shutdown_write(ours));
    EXPECT_THAT(read_to_end(ours), testing::StartsWith("input\n"));
    Json ended = wait_for("exec_exited");
    EXPECT_EQ(ended["exec_id"], "one");
    EXPECT_EQ(ended["code"], 5);

    ASSERT_TRUE(client_->call(
        proto::ExecRequest{.exec_id = "two",
                           .process = dump_json(process_of(shell("yes | head -c 10000"))),
                           .capture = 4096}));
    ended = wait_for("exec_exited");
    EXPECT_EQ(base64_decode(ended["output"].get<std::string>())->size(), 4096);

    const auto failed = client_->call(
        proto::ExecRequest{.exec_id = "three", .process = dump_json(process_of({"/bin/nothing"}))});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().number(), ENOENT);
    EXPECT_EQ(state().execs.size(), 2);
}

TEST_F(SupervisorTest, DaemonDiesAndAnotherAdopts) {
    const Fd client = attach(whole);
    auto wanted = request(shell("while read line; do echo got $line; done"));
    wanted.open_stdin = true;
    run(wanted);
    type(client, "a\n");
    EXPECT_EQ(read_until(client, "got a\n"), "got a\n");
    pump_.reset();
    client_.reset();  // the connection ends as with kill -9
    type(client, "b\n");
    EXPECT_EQ(read_until(client, "got b\n"), "got b\n") << "the session goes on";
    pump_ = std::move(proto::ShimPump::start()).value();
    client_ = pump_->connect(directory_ + "/shim.sock", handlers()).value();
    EXPECT_EQ(state().status, "running");
    EXPECT_EQ(state().clients, 1);
    EXPECT_EQ(state().id, id_);
    type(client, "c\n");
    EXPECT_EQ(read_until(client, "got c\n"), "got c\n");
}

TEST_F(SupervisorTest, ContainerDiesWithItsSupervisor) {
    run(request({"/bin/sleep", "100"}));
    const auto init = sys::PidRef::open(static_cast<pid_t>(state().pid)).value();
    ASSERT_TRUE(supervisor_.process().signal(SIGKILL));
    const FdView view = init.fd();
    EXPECT_TRUE(sys::wait_readable({&view, 1}, 5000ms)->has_value());
    expect_end();
    // What a daemon does for a container whose supervisor is gone.
    const auto layout = cgroup::Layout::detect().value();
    ASSERT_TRUE(cgroup::Group::open(layout, cgroup_path())->remove());
}

TEST_F(SupervisorTest, SlowReaderHoldsTheContainerNotTheSupervisor) {
    const Fd client = attach({.use_stdout = true});
    run(request(shell("yes $(printf %0999d 0) | head -c 20000000")));
    const FdView unread = client;
    ASSERT_TRUE(sys::wait_readable({&unread, 1}, 5000ms)->has_value());
    EXPECT_EQ(state().status, "running") << "answers although its client does not read";
    EXPECT_EQ(read_to_end(client).size(), 20'000'000);
    EXPECT_EQ(wait_for("exited")["code"], 0);
    EXPECT_EQ(logged().size(), 20'000'000);
    started_ = false;
}

TEST_F(SupervisorTest, HundredMegabytes) {
    std::string block;
    while (block.size() < 10'000'000) block += std::string(9'999, 'x') + '\n';
    const Fd file = sys::open(directory_ + "/root/data", O_WRONLY | O_CREAT, 0600).value();
    for (int i = 0; i < 10; ++i) type(file, block);
    const Fd client = attach({.use_stdout = true});
    const auto begin = std::chrono::steady_clock::now();
    run(request({"/bin/dd", "if=/data", "bs=64k"}));
    EXPECT_EQ(count_to_end(client), 100'000'000);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    fmt::print("{:.0f} MB/s from a container into log and client\n", 100 / took.count());
    EXPECT_EQ(wait_for("exited")["code"], 0);
    started_ = false;
}

/// What one more container costs: the program's own pages are shared by all supervisors.
TEST_F(SupervisorTest, IdleSupervisorIsSmall) {
    run(request({"/bin/sleep", "100"}));
    ASSERT_TRUE(client_->call(proto::StateRequest{}));
    const auto rollup =
        sys::read_file(fmt::format("/proc/{}/smaps_rollup", supervisor_.process().pid()));
    ASSERT_TRUE(rollup);
    for (const auto& line : split(*rollup, '\n')) {
        if (!line.starts_with("Pss")) continue;
        fmt::print("{}\n", line);
        const auto [name, amount] = split_once(line, ':');
        if (name == "Pss_Anon") EXPECT_LT(std::atoi(std::string(amount).c_str()), 300);
    }
}

}  // namespace
}  // namespace corten
