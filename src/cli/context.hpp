#pragma once
// What a verb gets to work with: the daemon (connected to when first asked for), the user's
// configuration, and the output.
#include "client.hpp"
#include "flags.hpp"

#include <base/json.hpp>

#include <optional>
#include <string>

namespace corten::cli {

/// Writes to standard output. An output that is closed ends the program, as SIGPIPE would.
void print(std::string_view text);
void print_error(std::string_view text);
inline void print_line(std::string_view text) {
    print(std::string(text) + "\n");
}

class Context {
public:
    Context(HostOptions host, std::string config_folder)
        : host_(std::move(host)), config_folder_(std::move(config_folder)) {}

    /// The daemon. Nothing is sent before the first request.
    Result<Client*> client();
    /// The address only, for messages.
    const HostOptions& host() const { return host_; }

    /// config.json of the user's docker configuration; {} when there is none.
    Result<Json> config() const;
    Result<void> save_config(const Json& config) const;
    const std::string& config_folder() const { return config_folder_; }

private:
    HostOptions host_;
    std::string config_folder_;
    std::optional<Client> client_;
};

/// Runs `act` on each name; prints each error, goes on, and gives exit code 1 if there was one.
Result<int> for_each_name(const std::vector<std::string>& names,
                          const std::function<Result<void>(const std::string&)>& act);
/// The same, and prints each name that succeeded.
Result<int> echo_each_name(const std::vector<std::string>& names,
                           const std::function<Result<void>(const std::string&)>& act);

/// Asks on the terminal; everything but y and Y is no.
bool confirm(std::string_view question);

/// An error that ends the program with this code; `help` names the verb whose --help is pointed to.
int report_run_error(const Error& error, std::string_view verb);

}  // namespace corten::cli
