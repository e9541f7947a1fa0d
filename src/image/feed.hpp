#pragma once
// Progress of one operation for any number of clients, each of which reads at its own pace: who
// joins late sees the present state of each layer, and who reads slowly misses only numbers.
#include <image/progress.hpp>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace corten::image {

class ProgressFeed {
public:
    /// From any thread; never waits for readers.
    void publish(Progress event);
    void close();

    struct Batch {
        std::vector<Progress> events;
        std::size_t next = 0;  ///< the position to read on from
        bool closed = false;   ///< nothing will follow
    };
    /// What was published from `position` on; waits for it at most `patience`.
    Batch read(std::size_t position, std::chrono::milliseconds patience);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    /// A number that a newer one of the same layer replaced is nullptr.
    std::vector<std::unique_ptr<Progress>> events_;
    std::map<std::string, std::size_t> newest_number_;  ///< by status and id
    bool closed_ = false;
};

}  // namespace corten::image
