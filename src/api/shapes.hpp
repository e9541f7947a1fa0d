#pragma once
// What replies look like to clients of older versions: old members stay, new ones are harmless.
// Source: the changelog of the API, per version.
#include "version.hpp"

#include <apitypes/container.hpp>
#include <apitypes/event.hpp>
#include <apitypes/image.hpp>
#include <apitypes/system.hpp>

namespace corten::api {

/// Before 1.45 the aliases on a user's network held the short id and the hostname.
void shape(apitypes::ContainerInspect& inspect, ApiVersion version);
/// Before 1.44 VirtualSize; before 1.43 "<none>:<none>" for what has no name; before 1.51 -1 for
/// the number of containers; before 1.48 no descriptor.
void shape(apitypes::ImageSummary& image, ApiVersion version);
/// Before 1.44 VirtualSize, before 1.45 Container and ContainerConfig, before 1.48 no descriptor.
Json shaped_json(apitypes::ImageInspect image, ApiVersion version);
/// Before 1.47 the registry settings had two more (empty) lists.
Json shaped_json(const apitypes::Info& info, ApiVersion version);
/// Before 1.52 the events of containers and images repeat status, id and from.
void shape(apitypes::Event& event, ApiVersion version);

}  // namespace corten::api
