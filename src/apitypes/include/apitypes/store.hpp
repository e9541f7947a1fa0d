#pragma once
// What only this engine's API has: the report of POST /corten/store/check.
#include <apitypes/common.hpp>

namespace corten::apitypes {

struct StoreProblem {
    std::string what;   ///< "layer sha256:…"
    std::string found;  ///< a sentence
    bool mended = false;

    static constexpr void fields(auto visit) {
        using C = StoreProblem;
        visit(field("What", &C::what), field("Found", &C::found), field("Mended", &C::mended));
    }
};

struct StoreReport {
    std::uint64_t layers = 0;
    std::uint64_t images = 0;
    std::uint64_t snapshots = 0;  ///< containers' writable layers
    std::uint64_t blobs = 0;
    std::vector<StoreProblem> problems;

    static constexpr void fields(auto visit) {
        using C = StoreReport;
        visit(field("Layers", &C::layers), field("Images", &C::images),
              field("Snapshots", &C::snapshots), field("Blobs", &C::blobs),
              field("Problems", &C::problems));
    }
};

}  // namespace corten::apitypes
