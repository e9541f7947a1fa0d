#include "context.hpp"

#include "exit_code.hpp"

#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace corten::cli {

namespace {

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) std::_Exit(1);  // nobody reads any more; there is nowhere to say so
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace

void print(std::string_view text) {
    write_all(STDOUT_FILENO, text);
}
void print_error(std::string_view text) {
    write_all(STDERR_FILENO, fmt::format("{}\n", text));
}

Result<Client*> Context::client() {
    if (!client_) client_.emplace(TRY(make_client(host_)));
    return &*client_;
}

Result<Json> Context::config() const {
    const std::string path = config_folder_ + "/config.json";
    if (!sys::exists(path)) return Json::object();
    return parse_json(TRY(sys::read_file(path)), path);
}

Result<void> Context::save_config(const Json& config) const {
    TRY(sys::make_directories(config_folder_, 0700));
    return sys::write_file_atomic(config_folder_ + "/config.json", config.dump(2) + "\n", 0600);
}

Result<int> for_each_name(const std::vector<std::string>& names,
                          const std::function<Result<void>(const std::string&)>& act) {
    int code = 0;
    for (const std::string& name : names) {
        const auto result = act(name);
        if (result) continue;
        print_error(result.error().message());
        code = 1;
    }
    return code;
}

Result<int> echo_each_name(const std::vector<std::string>& names,
                           const std::function<Result<void>(const std::string&)>& act) {
    return for_each_name(names, [&](const std::string& name) -> Result<void> {
        TRY(act(name));
        print_line(name);
        return {};
    });
}

bool confirm(std::string_view question) {
    print(fmt::format("{} [y/N] ", question));
    char answer[16] = {};
    const ssize_t count = ::read(STDIN_FILENO, answer, sizeof answer);
    return count > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

int report_run_error(const Error& error, std::string_view verb) {
    print_error(fmt::format("corten: {}\n\nRun 'corten {} --help' for more information",
                            error.message(), verb));
    return exit_code_of_failure(error.message());
}

}  // namespace corten::cli
