#pragma once
// Result<T>: a value or an Error, the only error channel of the project. Exceptions are for bugs;
// a library that throws is fenced where it is called.
//
//   Result<int> parse(std::string_view text);
//   int n = TRY(parse(text));                        // returns the error to the caller
//   TRY(save(n).context("container web"));           // the same, with what was being done in front
#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace corten {

/// What went wrong, as far as a caller can act on it. One table each turns a kind into an HTTP
/// status (api) and an exit code (cli).
enum class ErrorKind {
    invalid,       ///< the request makes no sense: bad argument, bad reference, bad JSON
    not_found,     ///< the named object does not exist
    conflict,      ///< the object exists, but its state or another object forbids the request
    not_modified,  ///< the object already is as asked
    unauthorized,  ///< credentials are missing or wrong
    forbidden,     ///< understood and never allowed
    unavailable,   ///< a peer (registry, supervisor) cannot be reached or did not answer
    unsupported,   ///< the kernel or this build does not have it
    not_built,     ///< part of the API that is not implemented; says what is missing
    no_space,      ///< disk, memory, addresses or descriptors ran out
    cancelled,     ///< the caller asked to stop
    io,            ///< a system call failed in a way the request is not to blame for
    corrupt,       ///< stored or received bytes do not match their digest, format or length
    internal,      ///< a bug
};

std::string_view to_string(ErrorKind kind);

class [[nodiscard]] Error {
public:
    Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

    /// An error of a system call: "message: strerror", with the kind that fits the errno.
    static Error from_errno(int number, std::string_view message);

    ErrorKind kind() const { return kind_; }
    /// 0 when no system call was to blame.
    int number() const { return number_; }
    const std::string& message() const { return message_; }

    /// Puts "what: " in front of the message.
    Error&& context(std::string_view what) && {
        message_ = fmt::format("{}: {}", what, message_);
        return std::move(*this);
    }
    Error&& with_kind(ErrorKind kind) && {
        kind_ = kind;
        return std::move(*this);
    }
    Error&& with_number(int number) && {
        number_ = number;
        return std::move(*this);
    }

private:
    ErrorKind kind_;
    int number_ = 0;
    std::string message_;
};

/// fail(ErrorKind::invalid, "tag {} is longer than 128 characters", tag)
template <typename... Args>
Error fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
    return Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// The error of the system call that just failed: reads errno, so call it at once.
template <typename... Args>
Error fail_errno(fmt::format_string<Args...> format, Args&&... args) {
    const int number = errno;
    return Error::from_errno(number, fmt::format(format, std::forward<Args>(args)...));
}

template <typename T = void>
class [[nodiscard]] Result {
    using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

public:
    using value_type = T;

    Result()
        requires std::is_void_v<T>
        : state_(std::in_place_index<0>) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    template <typename U = T>
        requires(!std::is_void_v<T> && std::constructible_from<Stored, U &&> &&
                 !std::same_as<std::remove_cvref_t<U>, Result> &&
                 !std::same_as<std::remove_cvref_t<U>, Error>)
    Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    /// Precondition for value(), * and ->: has_value(); for error(): !has_value().
    Stored& value() & { return std::get<0>(state_); }
    const Stored& value() const& { return std::get<0>(state_); }
    Stored&& value() && { return std::get<0>(std::move(state_)); }
    Stored& operator*() & { return value(); }
    const Stored& operator*() const& { return value(); }
    Stored&& operator*() && { return std::move(*this).value(); }
    Stored* operator->() { return &value(); }
    const Stored* operator->() const { return &value(); }

    Error& error() & { return std::get<1>(state_); }
    const Error& error() const& { return std::get<1>(state_); }
    Error&& error() && { return std::get<1>(std::move(state_)); }

    Stored value_or(Stored other) && {
        return has_value() ? std::move(*this).value() : std::move(other);
    }

    /// Adds what was being done to the error, if there is one.
    Result&& context(std::string_view what) && {
        if (!has_value()) (void)std::get<1>(std::move(state_)).context(what);
        return std::move(*this);
    }

    /// Says that a failure is survived on purpose. The reader should find the reason beside it.
    void ignore() const {}

private:
    std::variant<Stored, Error> state_;
};

}  // namespace corten

/// The value of a Result, or return its error from the enclosing function.
#define TRY(expression)                                                      \
    ({                                                                       \
        auto try_result_ = (expression);                                     \
        if (!try_result_.has_value()) return std::move(try_result_).error(); \
        std::move(try_result_).value();                                      \
    })
