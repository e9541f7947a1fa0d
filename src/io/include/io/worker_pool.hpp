#pragma once
// A bounded pool of named threads for blocking work that nobody waits for on a connection's thread:
// tearing down what a container left, restarts, health probes.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace corten::io {

class WorkerPool {
public:
    /// Threads are made when work comes and none is idle, up to `most_threads`, and end after ten
    /// idle seconds: an idle daemon holds none.
    WorkerPool(std::string name, std::size_t most_threads);
    /// Finishes what is queued, then ends the threads.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    void post(std::function<void()> work);

private:
    void run();
    void reap_ended();

    const std::string name_;
    const std::size_t most_threads_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> queue_;
    std::vector<std::thread> threads_;
    std::vector<std::thread::id> ended_;
    std::size_t idle_ = 0;
    bool closing_ = false;
};

}  // namespace corten::io
