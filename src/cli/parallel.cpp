#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

namespace corten::cli {

namespace {

constexpr std::size_t most_threads = 16;
using Outcomes = std::vector<std::optional<Result<bool>>>;

/// Takes the next name until there is none. Each thread writes only its own names' outcomes.
void work(const HostOptions& host, const std::vector<std::string>& names, const NameRequest& act,
          std::atomic<std::size_t>& next, Outcomes& outcomes) {
    auto client = make_client(host);
    for (std::size_t i = next++; i < names.size(); i = next++) {
        outcomes[i] = client ? act(*client, names[i]) : Result<bool>(client.error());
    }
}

int report(const std::vector<std::string>& names, const Outcomes& outcomes) {
    int code = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const Result<bool>& outcome = *outcomes[i];
        if (outcome) {
            if (*outcome) print_line(names[i]);
            continue;
        }
        print_error(outcome.error().message());
        code = 1;
    }
    return code;
}

}  // namespace

Result<int> echo_each_in_parallel(Context& context, const std::vector<std::string>& names,
                                  const NameRequest& act) {
    Outcomes outcomes(names.size());
    std::atomic<std::size_t> next = 0;
    if (names.size() == 1) {
        work(context.host(), names, act, next, outcomes);
        return report(names, outcomes);
    }
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(names.size(), most_threads); ++i)
        threads.emplace_back([&] { work(context.host(), names, act, next, outcomes); });
    threads.clear();
    return report(names, outcomes);
}

}  // namespace corten::cli
