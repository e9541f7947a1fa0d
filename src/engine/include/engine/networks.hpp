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

    Result<std::vector<apitypes::Network>> list(const Filters& filters) const;
    Result<apitypes::Network> inspect(std::string_view ref) const;
    Result<apitypes::NetworkCreated> create(const apitypes::NetworkCreate& request);
    /// forbidden for bridge, host and none.
    Result<void> remove(std::string_view ref);

private:
    Context& context_;
};

}  // namespace corten::engine
