#include "names.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace corten::engine {

namespace {

// Weathered things, and people who made things stand, move or last.
constexpr std::array adjectives = {
    "amber",     "ancient",  "balanced", "blazing",  "bold",     "brave",    "bright",  "bronze",
    "calm",      "careful",  "clever",   "copper",   "cosmic",   "crisp",    "curious", "daring",
    "deep",      "eager",    "early",    "elegant",  "fearless", "fluent",   "forged",  "gentle",
    "golden",    "graceful", "granite",  "happy",    "hardy",    "humble",   "iron",    "jolly",
    "keen",      "kind",     "lively",   "lucid",    "lucky",    "mellow",   "merry",   "mighty",
    "modest",    "nimble",   "noble",    "patient",  "plucky",   "polished", "proud",   "quick",
    "quiet",     "radiant",  "ready",    "robust",   "rustic",   "serene",   "sharp",   "shining",
    "silent",    "silver",   "smart",    "solid",    "stable",   "steady",   "stoic",   "sturdy",
    "sunny",     "swift",    "tidy",     "tranquil", "trusty",   "upbeat",   "vivid",   "warm",
    "weathered", "wise",     "witty",    "zealous"};

constexpr std::array surnames = {
    "ampere",  "archimedes",   "babbage",     "bartik",   "bernoulli", "bessemer",  "boole",
    "brunel",  "brunelleschi", "calatrava",   "cerf",     "church",    "clarke",    "curie",
    "daimler", "dijkstra",     "diesel",      "edison",   "eiffel",    "engelbart", "euler",
    "fan",     "faraday",      "farrer",      "fermi",    "fourier",   "galilei",   "gauss",
    "germain", "goodall",      "hamilton",    "hamming",  "heron",     "hertz",     "hollerith",
    "hopper",  "hypatia",      "jacquard",    "johnson",  "karnaugh",  "kepler",    "kilby",
    "knuth",   "lamarr",       "leibniz",     "lovelace", "maxwell",   "mccarthy",  "meitner",
    "navier",  "newcomen",     "nightingale", "noether",  "otto",      "pascal",    "pasteur",
    "ritchie", "roebling",     "shannon",     "shukhov",  "siemens",   "sinan",     "stephenson",
    "stokes",  "telford",      "tesla",       "thompson", "torvalds",  "turing",    "vitruvius",
    "volta",   "watt",         "wilkes",      "wirth",    "wright",    "zuse"};

std::uint32_t random_number() {
    std::uint32_t value = 0;
    [[maybe_unused]] const auto filled = ::getrandom(&value, sizeof value, 0);
    return value;
}

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_name_rest(char c) {
    return is_name_start(c) || c == '_' || c == '.' || c == '-';
}

bool follows_name_rule(std::string_view name) {
    return name.size() >= 2 && is_name_start(name[0]) &&
           std::ranges::all_of(name.substr(1), is_name_rest);
}

}  // namespace

std::string made_up_name(int attempt) {
    std::string name = fmt::format("{}_{}", adjectives[random_number() % adjectives.size()],
                                   surnames[random_number() % surnames.size()]);
    if (attempt > 0) name += fmt::format("{}", random_number() % 10);
    return name;
}

Result<std::string> check_container_name(std::string_view name) {
    const std::string_view bare = name.starts_with('/') ? name.substr(1) : name;
    constexpr std::size_t longest = 255;
    if (bare.size() > longest)
        return fail(ErrorKind::invalid,
                    "Invalid container name: {} characters, at most {} are allowed", bare.size(),
                    longest);
    if (!follows_name_rule(bare))
        return fail(ErrorKind::invalid,
                    "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                    name);
    return std::string(bare);
}

Result<void> check_volume_name(std::string_view name) {
    if (!follows_name_rule(name) || name.size() > 255)
        return fail(ErrorKind::invalid,
                    "create {}: \"{}\" includes invalid characters for a local volume name, only "
                    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                    "directory, use absolute path",
                    name, name);
    return {};
}

}  // namespace corten::engine
