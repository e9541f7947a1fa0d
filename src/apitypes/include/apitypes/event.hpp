#pragma once
// One line of GET /events. Source: Docker Engine API 1.51 and recorded events.
#include <apitypes/common.hpp>

namespace corten::apitypes {

struct EventActor {
    std::string id;
    StringMap attributes;
    static constexpr void fields(auto visit) {
        visit(field("ID", &EventActor::id), field("Attributes", &EventActor::attributes));
    }
};

struct Event {
    std::string status;  ///< as the next two: container and image events before 1.52 only
    std::string id;
    std::string from;
    std::string type;    ///< container, image, network, volume, daemon, builder
    std::string action;  ///< "start", "exec_create: sh -c true", "health_status: healthy"
    EventActor actor;
    std::string scope = "local";
    std::int64_t time = 0;       ///< unix seconds
    std::int64_t time_nano = 0;  ///< unix nanoseconds

    static constexpr void fields(auto visit) {
        using C = Event;
        visit(omit_empty("status", &C::status), omit_empty("id", &C::id),
              omit_empty("from", &C::from), field("Type", &C::type), field("Action", &C::action),
              field("Actor", &C::actor), field("scope", &C::scope), field("time", &C::time),
              field("timeNano", &C::time_nano));
    }
};

}  // namespace corten::apitypes
