#pragma once
// Properties of the container's unit that the configuration's annotations name, as with runc and
// crun: "org.systemd.property.TimeoutStopUSec": "uint64 5000000".
#include "systemd_bus.hpp"

#include <base/result.hpp>

#include <map>
#include <string>
#include <string_view>

namespace corten::runtime_cli {

/// A value as GVariant's text format has it (docs.gtk.org/glib/gvariant-text-format.html), of these
/// types: true and false, numbers with or without their type's name before them, strings in quotes
/// of either kind, and lists of such strings. invalid with what was found.
Result<BusValue> parse_bus_value(std::string_view text);

/// What annotations name. A name that ends in "Sec" after a small letter is in seconds; systemd
/// knows it in microseconds. invalid with the annotation's name, for a name that is not of letters
/// alone too. That systemd has no such property it says itself.
Result<BusProperties> annotated_properties(const std::map<std::string, std::string>& annotations);

}  // namespace corten::runtime_cli
