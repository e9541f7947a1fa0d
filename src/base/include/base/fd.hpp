#pragma once
// Fd owns a file descriptor. Functions take `const Fd&` or FdView to borrow and `Fd` by value to
// take over; raw ints stay in src/sys.
#include <utility>

namespace corten {

/// A borrowed descriptor: never closes. Valid as long as its owner lives.
class FdView {
public:
    constexpr FdView() = default;
    constexpr explicit FdView(int raw) : raw_(raw) {}
    constexpr int raw() const { return raw_; }
    constexpr bool valid() const { return raw_ >= 0; }

private:
    int raw_ = -1;
};

class Fd {
public:
    Fd() = default;
    explicit Fd(int raw) : raw_(raw) {}
    Fd(Fd&& other) noexcept : raw_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int raw() const { return raw_; }
    bool valid() const { return raw_ >= 0; }
    explicit operator bool() const { return valid(); }
    operator FdView() const { return FdView(raw_); }
    [[nodiscard]] int release() { return std::exchange(raw_, -1); }
    void reset(int raw = -1);

private:
    int raw_ = -1;
};

}  // namespace corten
