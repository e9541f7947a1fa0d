#pragma once
// The name server of containers on user-defined networks. Each container asks it at 127.0.0.11, in
// its own network namespace: there are two sockets on ports that the kernel chose, and a rule leads
// port 53 to them, so that a container may well have a name server of its own on port 53.
//
// One thread of the daemon serves all of them; it exists from the first container that is served.
// A daemon that comes back opens the sockets again.
#include "dns_message.hpp"

#include <base/fd.hpp>
#include <base/sync.hpp>
#include <network/networks.hpp>
#include <sys/loop.hpp>
#include <sys/poll.hpp>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace corten::network {

/// What the directory knows of a name, or of an address when that was asked for.
struct NameAnswer {
    bool known = false;
    std::vector<Ipv4> addresses;
    std::string name;  ///< for a question after an address
};

class NameServer {
public:
    /// Called on the server's thread.
    using Directory = std::function<NameAnswer(const std::string& asker, const DnsQuestion&)>;

    explicit NameServer(Directory directory);
    ~NameServer();

    /// From when this returns questions are answered, in place of a former daemon's server. The
    /// descriptor is kept until stop().
    Result<void> serve(const std::string& asker, Fd network_namespace, Upstreams upstreams);
    /// Questions that wait for an answer get none. Fine for who is not served.
    void stop(const std::string& asker);

private:
    class Service;
    Result<void> start();
    void post(std::function<void(Service&)> task);
    void run();

    Directory directory_;
    std::mutex starting_;
    std::unique_ptr<sys::Loop> loop_;
    std::unique_ptr<sys::Event> wake_;
    Sync<std::vector<std::function<void(Service&)>>> tasks_;
    std::unique_ptr<Service> service_;
    sys::Loop::Watch wake_watch_;
    std::thread thread_;
};

}  // namespace corten::network
