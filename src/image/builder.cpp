#include "limited_source.hpp"
#include "reader_source.hpp"

#include <base/clock.hpp>
#include <image/builder.hpp>
#include <image/changes.hpp>
#include <storage/compression.hpp>
#include <storage/digest.hpp>

namespace corten::image {

oci::Image new_image() {
    const oci::Platform host = oci::host_platform();
    return {.created = rfc3339(now()),
            .architecture = host.architecture,
            .variant = host.variant,
            .os = host.os};
}

namespace {

/// The tar of nothing: two blocks of zeros.
constexpr std::string_view empty_tar =
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

std::string chain_of(const oci::Image& image) {
    std::string chain;
    for (const auto& diff_id : image.rootfs.diff_ids) chain = storage::chain_id(chain, diff_id);
    return chain;
}

}  // namespace

Result<std::string> store_image(storage::Store& store, storage::Source& archive, oci::Image image,
                                const std::vector<std::string>& references,
                                const BuildOptions& options) {
    auto lease = TRY(store.images().lease("image being made"));
    const std::string below = chain_of(image);
    if (!below.empty()) TRY(lease.add_layer(below));
    const auto inflated = TRY(storage::Decompressor::create(archive));
    LimitedSource tar(*inflated, options.layer_limits.bytes);
    auto pending = TRY(store.layers().unpack(tar, {.limits = options.layer_limits}));
    const std::string diff_id = pending.diff_id();
    if (!below.empty() && diff_id == empty_tar) {
        if (!image.history.empty()) image.history.back().empty_layer = true;
    } else {
        TRY(store.images().commit_layer(std::move(pending), below, diff_id, lease));
        image.rootfs.diff_ids.push_back(diff_id);
    }
    auto change = TRY(store.db().begin());
    auto id = TRY(store.images().put({.config = dump_json(to_json(image)),
                                      .parent = image.parent,
                                      .chain_id = chain_of(image)}));
    for (const auto& reference : references) TRY(store.images().tag(reference, id));
    TRY(change.commit());
    return id;
}

Result<std::string> import_image(storage::Store& store, const ByteSource& archive,
                                 const ImportRequest& request, const BuildOptions& options) {
    oci::Image image = new_image();
    if (request.platform) {
        image.os = request.platform->os;
        image.architecture = request.platform->architecture;
        image.variant = request.platform->variant;
    }
    image.comment = request.message.empty() ? "Imported from -" : request.message;
    image.config.emplace();
    TRY(apply_changes(*image.config, request.changes));
    image.history.push_back({.created = image.created, .comment = image.comment});
    std::vector<std::string> references;
    if (!request.reference.empty()) references.push_back(request.reference);
    ReaderSource source(archive);
    return store_image(store, source, std::move(image), references, options);
}

}  // namespace corten::image
