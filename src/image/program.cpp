#include "program.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/process.hpp>

#include <array>
#include <cstdlib>
#include <deque>

namespace corten::image {

namespace {

constexpr std::array search_path{"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/",
                                 "/usr/bin/",        "/sbin/",          "/bin/"};
constexpr std::size_t lines_in_error = 5;

std::vector<std::string> environment() {
    std::vector<std::string> variables{
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
        "HOME=/root", "DEBIAN_FRONTEND=noninteractive"};
    for (const char* name : {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY"})
        if (const char* value = std::getenv(name))
            variables.push_back(fmt::format("{}={}", name, value));
    return variables;
}

/// Cuts a stream into lines; keeps the last few for an error message.
class Lines {
public:
    explicit Lines(const LineSink& sink) : sink_(sink) {}
    void add(std::string_view bytes) {
        rest_ += bytes;
        for (std::size_t end = rest_.find('\n'); end != rest_.npos; end = rest_.find('\n')) {
            take(rest_.substr(0, end));
            rest_.erase(0, end + 1);
        }
    }
    void finish() {
        if (!rest_.empty()) take(std::exchange(rest_, {}));
    }
    std::string tail() const {
        const std::vector<std::string> lines(last_.begin(), last_.end());
        return join(lines, "; ");
    }

private:
    void take(const std::string& line) {
        sink_(line);
        last_.push_back(line);
        if (last_.size() > lines_in_error) last_.pop_front();
    }
    const LineSink& sink_;
    std::string rest_;
    std::deque<std::string> last_;
};

Result<void> read_lines(FdView output, Lines& lines, FdView cancel) {
    std::array<char, 8192> buffer{};
    while (true) {
        const std::array fds{cancel, output};
        const auto ready = TRY(sys::wait_readable(fds));
        if (ready == 0u) return fail(ErrorKind::cancelled, "context canceled");
        const std::size_t got = TRY(sys::read_some(output, buffer));
        if (got == 0) return {};
        lines.add({buffer.data(), got});
    }
}

}  // namespace

Result<std::string> find_program(const std::string& name, std::string_view package) {
    for (const auto* directory : search_path)
        if (sys::exists(directory + name)) return directory + name;
    return fail(ErrorKind::unavailable, "{} is not installed: apt-get install {}", name, package);
}

Result<void> run_program(const std::string& program, const std::vector<std::string>& arguments,
                         const LineSink& line, FdView cancel) {
    auto [output, input] = TRY(sys::pipe());
    auto child = TRY(sys::spawn({.program = program,
                                 .arguments = arguments,
                                 .environment = environment(),
                                 .fds = {{input, 1}, {input, 2}},
                                 .new_session = true})
                         .context(program));
    input.reset();
    Lines lines(line);
    TRY(read_lines(output, lines, cancel));
    lines.finish();
    const auto status = TRY(child.wait());
    if (status.code != 0)
        return fail(ErrorKind::unavailable, "{} failed with status {}: {}", program, status.code,
                    lines.tail());
    return {};
}

}  // namespace corten::image
