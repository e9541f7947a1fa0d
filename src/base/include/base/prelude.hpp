#pragma once
// The precompiled header of every library: what nearly every file includes and what costs most to
// parse (JSON 3.8 s, fmt 0.6 s). Files still include what they use; this only makes it cheap.
#include <base/json.hpp>
#include <base/result.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
