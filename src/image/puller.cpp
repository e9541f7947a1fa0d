#include "pull_job.hpp"

#include <base/sync.hpp>
#include <base/text.hpp>
#include <image/puller.hpp>
#include <sys/file.hpp>

#include <array>
#include <list>

namespace corten::image {

namespace {

bool is_readable(FdView fd) {
    if (!fd.valid()) return false;
    const std::array fds{fd};
    const auto ready = sys::wait_readable(fds, std::chrono::milliseconds(0));
    return ready && ready->has_value();
}

/// What has to be equal for two pulls to be one. Credentials count: nobody gets an image through
/// another's.
std::string key_of(const PullRequest& request) {
    const auto& c = request.credentials;
    return join(
        std::array<std::string, 6>{request.reference.canonical(),
                                   request.platform ? oci::to_string(*request.platform) : "",
                                   c.username, c.password, c.identity_token, c.registry_token},
        std::string_view("\0", 1));
}

/// What loads and bootstraps of a killed daemon left; what cannot be removed now is tried again at
/// the next start.
void remove_leftovers(const std::string& root) {
    const auto names = sys::list_directory(root);
    if (!names) return;
    for (const auto& name : *names)
        if (name == "bootstrap" || name.starts_with("load-"))
            sys::remove_tree(root + "/" + name).ignore();
}

/// Of all layers in work together: 20 MiB, and as many connections beyond one for each layer.
constexpr std::ptrdiff_t chunks_ahead = 5;
/// The largest window that is taken: of such layers one is unpacked after the other.
constexpr std::size_t window_memory = 32 << 20;
constexpr auto look_for_cancel = std::chrono::milliseconds(100);

}  // namespace

/// A pull that runs, and who waits for it.
struct SharedPull {
    SharedPull(storage::Store& store, const PullOptions& options, Shares& shares,
               const PullRequest& request, sys::Event cancel)
        : job(store, options, shares, request, std::move(cancel)) {}

    void start() {
        thread = std::thread([this] {
            auto outcome = job.run();
            result.with([&](auto& slot) { slot.emplace(std::move(outcome)); });
            ended.set();
        });
    }
    ~SharedPull() {
        job.cancel();
        if (thread.joinable()) thread.join();
    }

    PullJob job;
    Sync<std::optional<Result<PullResult>>> result;
    struct Flag {
        void set() {
            value.store(true);
            value.notify_all();
        }
        void wait() { value.wait(false); }
        std::atomic<bool> value = false;
    } ended;
    std::thread thread;
    int waiters = 0;  // guarded by Impl::running
};

class Puller::Impl {
public:
    Impl(storage::Store& store, PullOptions options)
        : store_(store),
          options_(std::move(options)),
          shares_{.layers = Slots(
                      static_cast<std::ptrdiff_t>(std::max<std::size_t>(options_.downloads, 1))),
                  .chunks = Slots(chunks_ahead),
                  .windows = storage::WindowMemory(window_memory)} {
        remove_leftovers(store_.root());
    }

    Result<PullResult> pull(const PullRequest& request, const ProgressSink& progress,
                            FdView cancel) {
        const std::string key = key_of(request);
        const auto shared = TRY(join_or_start(key, request));
        auto result = follow(*shared, progress, cancel);
        leave(key, shared);
        return result;
    }

    storage::Store& store_;
    const PullOptions options_;

private:
    using Running = std::map<std::string, std::shared_ptr<SharedPull>>;

    Result<std::shared_ptr<SharedPull>> join_or_start(const std::string& key,
                                                      const PullRequest& request) {
        auto event = TRY(sys::Event::create());
        return running_.with([&](Running& running) -> Result<std::shared_ptr<SharedPull>> {
            auto& entry = running[key];
            if (!entry) {
                entry = std::make_shared<SharedPull>(store_, options_, shares_, request,
                                                     std::move(event));
                entry->start();
            }
            ++entry->waiters;
            return entry;
        });
    }

    Result<PullResult> follow(SharedPull& shared, const ProgressSink& progress, FdView cancel) {
        std::size_t position = 0;
        while (true) {
            const auto batch = shared.job.feed().read(position, look_for_cancel);
            position = batch.next;
            for (const auto& event : batch.events) progress(event);
            if (batch.closed && batch.events.empty()) break;
            if (is_readable(cancel)) return fail(ErrorKind::cancelled, "context canceled");
        }
        shared.ended.wait();
        return shared.result.with([](const auto& result) { return *result; });
    }

    /// The last to leave ends the pull; a finished one is forgotten at once, so that the next
    /// request asks the registry anew.
    void leave(const std::string& key, const std::shared_ptr<SharedPull>& shared) {
        const bool last = running_.with([&](Running& running) {
            const bool none_left = --shared->waiters == 0;
            const auto found = running.find(key);
            if ((none_left || shared->ended.value) && found != running.end() &&
                found->second == shared)
                running.erase(found);
            return none_left;
        });
        if (last) shared->job.cancel();
    }

    Shares shares_;
    Sync<Running> running_;
};

Puller::Puller(storage::Store& store, PullOptions options)
    : impl_(std::make_unique<Impl>(store, std::move(options))) {}
Puller::~Puller() = default;

const PullOptions& Puller::options() const {
    return impl_->options_;
}

Result<PullResult> Puller::pull(const PullRequest& request, const ProgressSink& progress,
                                FdView cancel) {
    return impl_->pull(request, progress, cancel);
}

Result<std::vector<std::string>> Puller::tags(const Reference& repository,
                                              const Credentials& credentials, FdView cancel) {
    const auto& options = impl_->options_;
    Transport transport(transport_options(options, cancel));
    auto sessions =
        TRY(open_sessions(transport, options.registry, repository, credentials, "pull"));
    return with_first_reachable<std::vector<std::string>>(
        sessions, [](Session& session) { return session.tags(); });
}

}  // namespace corten::image
