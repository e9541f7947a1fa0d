#include "bootstrap.hpp"

#include <image/reference.hpp>
#include <sys/file.hpp>

#include <mutex>

namespace corten::image {

Result<Bootstrapped> record_bootstrap(const BootstrapContext& context, storage::Source& tar,
                                      const std::string& repository,
                                      const std::vector<std::string>& tags,
                                      const std::string& command) {
    oci::Image image = new_image();
    image.config.emplace();
    image.config->env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    image.config->cmd = {command};
    image.history.push_back(
        {.created = image.created, .created_by = "corten image bootstrap " + repository});
    Bootstrapped result;
    std::vector<std::string> canonical;
    for (const auto& tag : tags) {
        const auto reference = TRY(Reference::parse(repository + ":" + tag));
        canonical.push_back(reference.canonical());
        result.references.push_back(reference.familiar());
    }
    result.image_id =
        TRY(store_image(context.store, tar, std::move(image), canonical, context.options));
    for (const auto& reference : result.references) context.say("Tagged " + reference);
    context.say("Status: Made " + result.references.back());
    return result;
}

Result<Bootstrapped> bootstrap(storage::Store& store, std::string_view name,
                               const ProgressSink& progress, FdView cancel,
                               const BuildOptions& options) {
    static std::mutex one_at_a_time;
    const std::unique_lock lock(one_at_a_time, std::try_to_lock);
    if (!lock) return fail(ErrorKind::conflict, "an image bootstrap is already running");
    const BootstrapContext context{store, store.root() + "/bootstrap", progress, cancel, options};
    // What a killed daemon left there.
    TRY(sys::remove_tree(context.directory));
    TRY(sys::make_directories(context.directory));
    auto result =
        name == "busybox" ? bootstrap_busybox(context) : bootstrap_distribution(context, name);
    auto removed = sys::remove_tree(context.directory);
    if (result && !removed) return std::move(removed).error();
    return result;
}

}  // namespace corten::image
