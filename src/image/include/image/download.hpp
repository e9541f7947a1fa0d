#pragma once
// A file from the web, for `import`.
#include <base/fd.hpp>
#include <base/stream.hpp>
#include <image/puller.hpp>

#include <memory>
#include <string>

namespace corten::image {

class Download {
public:
    /// Asks for `url` ("http://" where it names no scheme) and follows redirects, but never from
    /// HTTPS to plain HTTP. Certificates and insecure hosts are as for registries. `cancel`
    /// readable ends it with kind cancelled.
    static Result<std::unique_ptr<Download>> open(const std::string& url,
                                                  const PullOptions& options, FdView cancel);
    ~Download();
    Download(const Download&) = delete;

    /// Its bytes; borrows this.
    ByteSource source();

private:
    struct State;
    explicit Download(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace corten::image
