#pragma once
// Rollback: what is made of several steps is undone, last first, unless commit() is reached.
//
//   Rollback undo;
//   TRY(make_directory(path));   undo.add([&] { remove_directory(path).ignore(); });
//   TRY(mount(path));            undo.add([&] { unmount(path).ignore(); });
//   undo.commit();
#include <functional>
#include <vector>

namespace corten {

class Rollback {
public:
    Rollback() = default;
    Rollback(Rollback&& other) noexcept : steps_(std::move(other.steps_)) { other.steps_.clear(); }
    Rollback& operator=(Rollback&&) = delete;
    ~Rollback() {
        for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
    }
    void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
    void commit() { steps_.clear(); }

private:
    std::vector<std::function<void()>> steps_;
};

}  // namespace corten
