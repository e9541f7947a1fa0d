// store check: what is stored against its digests and references (POST /corten/store/check).
#include "../verbs.hpp"
#include "rows.hpp"

namespace corten::cli {

namespace {

int report(const Json& found) {
    print_line(fmt::format("{} images, {} layers, {} containers' layers and {} blobs checked",
                           found.value("Images", 0), found.value("Layers", 0),
                           found.value("Snapshots", 0), found.value("Blobs", 0)));
    bool all_well = true;
    for (const Json& problem : found.value("Problems", Json::array())) {
        const bool mended = problem.value("Mended", false);
        all_well = all_well && mended;
        print_line(fmt::format("{}: {}{}", problem.value("What", ""), problem.value("Found", ""),
                               mended ? " (mended)" : ""));
    }
    return all_well ? 0 : 1;
}

}  // namespace

Result<int> verb_store_check(Context& context, const ParsedLine& line) {
    const std::string& format = line.flags.text("format");
    if (!format.empty() && format != "text" && format != "json")
        return fail(ErrorKind::invalid, "--format is text or json, not '{}'", format);
    http::Query query;
    if (line.flags.on("quick")) query.add("quick", "1");
    if (line.flags.on("repair")) query.add("repair", "1");
    const Json found = TRY(TRY(context.client())->post("/corten/store/check", query));
    if (format != "json") return report(found);
    print_line(dump_json(found));
    return 0;
}

}  // namespace corten::cli
