// Stands in for libFuzzer where its preset is not built: every seed as it is, then changed in ways
// that are the same at each run, so that a failure can be repeated.
#include "fuzz.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int changes_per_seed = 3000;

void feed(const std::string& bytes) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

std::vector<std::string> read_seeds(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        paths.push_back(entry.path());
    std::ranges::sort(paths);
    std::vector<std::string> seeds;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return seeds;
}

/// What fuzzers do first: bits, numbers at their edges, pieces taken out, doubled or cut off.
void change(std::string& bytes, std::mt19937& dice) {
    const std::size_t at = dice() % bytes.size();
    const std::size_t length = std::min<std::size_t>(1 + dice() % 16, bytes.size() - at);
    switch (dice() % 6) {
        case 0:
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice() % 8));
            break;
        case 1:
            bytes[at] = static_cast<char>(dice());
            break;
        case 2:
            bytes.replace(at, length, std::string(length, dice() % 2 == 0 ? '\0' : '\xff'));
            break;
        case 3:
            bytes.erase(at, length);
            break;
        case 4:
            bytes.insert(at, bytes.substr(at, length));
            break;
        default:
            bytes.resize(at);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "wanted: the folder with the seeds\n";
        return 2;
    }
    const auto seeds = read_seeds(argv[1]);
    if (seeds.empty()) {
        std::cerr << argv[1] << " has no seeds\n";
        return 2;
    }
    std::mt19937 dice(1);
    for (const std::string& seed : seeds) {
        feed(seed);
        for (int i = 0; i < changes_per_seed; ++i) {
            std::string changed = seed;
            for (auto left = 1 + dice() % 4; left > 0 && !changed.empty(); --left)
                change(changed, dice);
            feed(changed);
        }
    }
    std::cout << seeds.size() << " seeds, " << changes_per_seed << " changes of each\n";
}
