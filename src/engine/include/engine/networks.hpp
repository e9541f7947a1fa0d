#pragma once
#include <apitypes/network.hpp>
#include <engine/events.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::engine {

class Context;

class Networks {
public:
    explicit Networks(Context& context);

    Result<std::vector<apitypes::NetworkInspect>> list(const Filters& filters) const;
    Result<apitypes::NetworkInspect> inspect(std::string_view ref) const;
    Result<apitypes::NetworkCreateReply> create(const apitypes::NetworkCreateRequest& request);
    /// forbidden for bridge, host and none.
    Result<void> remove(std::string_view ref);
    Result<void> connect(std::string_view ref, const apitypes::NetworkConnectRequest& request);
    Result<void> disconnect(std::string_view ref,
                            const apitypes::NetworkDisconnectRequest& request);
    Result<apitypes::NetworksPruned> prune(const Filters& filters);

private:
    Context& context_;
};

}  // namespace corten::engine
