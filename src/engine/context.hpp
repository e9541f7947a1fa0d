#pragma once
// The engine's parts, each with one owner: this. Constructed by Engine::open() and handed by
// reference to what needs them; members are destroyed in reverse order, so that what calls others
// goes first.
#include "apparmor.hpp"
#include "container.hpp"
#include "container_store.hpp"
#include "exec_table.hpp"
#include "host_facts.hpp"
#include "network_store.hpp"
#include "probe_table.hpp"
#include "seccomp_cache.hpp"
#include "spare_supervisors.hpp"
#include "volume_mounts.hpp"
#include "volume_store.hpp"

#include <engine/config.hpp>
#include <engine/events.hpp>
#include <image/puller.hpp>
#include <io/timers.hpp>
#include <io/worker_pool.hpp>
#include <network/networks.hpp>
#include <proto/shim_pump.hpp>
#include <storage/store.hpp>
#include <sys/poll.hpp>

#include <atomic>
#include <memory>
#include <stop_token>

namespace corten::engine {

class Context {
public:
    Config config;
    HostFacts facts;
    std::string id;  ///< of this daemon, kept in the data root

    std::unique_ptr<storage::Store> store;
    ContainerStore container_store;
    VolumeStore volumes;
    VolumeMounts volume_mounts{volumes};
    NetworkStore network_store;
    std::unique_ptr<network::Networks> networks;
    SeccompCache seccomp;
    DefaultProfile apparmor;
    std::unique_ptr<image::Puller> puller;

    EventHub events;
    ContainerTable containers;
    ExecTable execs;
    ProbeTable probes;
    SpareSupervisors spare_supervisors;
    std::atomic<bool> closing = false;
    sys::Event ending;          ///< set with `closing`: for who waits by descriptor
    std::stop_source sweeping;  ///< stopped with `closing`: the next start sweeps the rest
    std::mutex prune;           ///< one prune at a time

    io::Timers timers;
    io::WorkerPool workers{"engine-work", 16};
    /// Exits and restarts, which must not wait for slow health probes or deletions.
    io::WorkerPool exits{"engine-exit", 16};
    std::unique_ptr<proto::ShimPump> pump;

    /// Deletes what removals have put aside; a failure is logged, the next sweep tries again.
    void sweep();
    /// One sweep takes what several removals have left.
    void sweep_soon() {
        if (sweep_awaits_.exchange(true)) return;
        workers.post([this] {
            sweep_awaits_ = false;
            sweep();
        });
    }
    /// The same, with the layers that nothing needs any more.
    void collect_garbage();
    void collect_garbage_soon() {
        workers.post([this] { collect_garbage(); });
    }

    std::string files_of(const std::string& id_) const {
        return config.data_root + "/containers/" + id_;
    }
    std::string runtime_directory(const std::string& id_) const {
        return config.exec_root + "/containers/" + id_;
    }
    std::string log_of(const std::string& id_) const {
        return files_of(id_) + "/" + id_ + "-json.log";
    }

    std::atomic<bool> sweep_awaits_ = false;
};

/// An event about a container, with the attributes that all of them have.
void publish_container_event(Context& context, const ContainerSpec& spec, std::string action,
                             std::map<std::string, std::string> more = {});
/// An event about an image, known as `name` to the user.
void publish_image_event(Context& context, std::string action, const std::string& id,
                         const std::string& name);
/// An event about a network, with the container that joins or leaves it.
void publish_network_event(Context& context, std::string action, const network::Network& network,
                           const std::string& container_id = {});
/// That a prune of one type of objects is over.
void publish_prune_event(Context& context, std::string type, std::int64_t reclaimed);

}  // namespace corten::engine
