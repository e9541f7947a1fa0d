// system df: docker's (GET /system/df), and whose the blocks are (GET /corten/system/df).
#include "../table.hpp"
#include "../verbs.hpp"
#include "rows.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <map>

namespace corten::cli {

namespace {

struct Usage {
    std::int64_t total = 0;
    std::int64_t active = 0;
    std::int64_t size = 0;
    std::int64_t reclaimable = 0;
};

Usage image_usage(const Json& df) {
    Usage usage{.size = number(df, "LayersSize")};
    std::int64_t used = 0;
    for (const Json& image : list_of(df, "Images")) {
        ++usage.total;
        if (number(image, "Containers") <= 0) continue;
        ++usage.active;
        const auto shared = number(image, "SharedSize");
        if (number(image, "Size") != -1 && shared != -1) used += number(image, "Size") - shared;
    }
    // What images in use share counts as used, too.
    usage.reclaimable = usage.active > 0 && usage.active == usage.total ? 0 : usage.size - used;
    return usage;
}

Usage container_usage(const Json& df) {
    Usage usage;
    for (const Json& container : list_of(df, "Containers")) {
        ++usage.total;
        const std::string state = container.value("State", "");
        const bool active = state == "running" || state == "paused" || state == "restarting";
        usage.active += active;
        usage.size += number(container, "SizeRw");
        if (!active) usage.reclaimable += number(container, "SizeRw");
    }
    return usage;
}

Usage volume_usage(const Json& df) {
    Usage usage;
    for (const Json& volume : list_of(df, "Volumes")) {
        ++usage.total;
        const Json data = volume.value("UsageData", Json::object());
        if (!data.is_object() || number(data, "Size") < 0) continue;
        usage.size += number(data, "Size");
        if (number(data, "RefCount") > 0)
            ++usage.active;
        else
            usage.reclaimable += number(data, "Size");
    }
    return usage;
}

Usage cache_usage(const Json& df) {
    Usage usage;
    for (const Json& entry : list_of(df, "BuildCache")) {
        ++usage.total;
        if (entry.value("InUse", false))
            ++usage.active;
        else if (!entry.value("Shared", false))
            usage.reclaimable += number(entry, "Size");
        usage.size += entry.value("Shared", false) ? 0 : number(entry, "Size");
    }
    return usage;
}

Json usage_row(std::string_view type, const Usage& usage) {
    std::string reclaimable = human_size(static_cast<double>(usage.reclaimable));
    if (usage.size > 0) reclaimable += fmt::format(" ({}%)", usage.reclaimable * 100 / usage.size);
    return {{"Active", std::to_string(usage.active)},
            {"Reclaimable", reclaimable},
            {"Size", human_size(static_cast<double>(usage.size))},
            {"TotalCount", std::to_string(usage.total)},
            {"Type", type}};
}

/// The plain table's columns, "ID\tSize", and their titles.
ListFormat columns(const Json& headers) {
    ListFormat out{.format = {}, .table = {}, .headers = headers};
    for (const auto& [member, title] : headers.items())
        out.table += fmt::format("{}{{{{.{}}}}}", out.table.empty() ? "" : "\t", member);
    return out;
}

std::vector<Json> image_details(const Json& df) {
    std::vector<Json> rows;
    for (const Json& image : list_of(df, "Images")) {
        Json row = image_rows(image, true, false).front();
        const auto size = number(image, "Size");
        const auto shared = number(image, "SharedSize");
        if (size >= 0 && shared >= 0)
            row["UniqueSize"] = human_size(static_cast<double>(size - shared), 3);
        rows.push_back(std::move(row));
    }
    return rows;
}

std::vector<Json> container_details(const Json& df) {
    std::vector<Json> rows;
    for (Json container : list_of(df, "Containers")) {
        container["SizeRootFs"] = 0;  // what is below belongs to the images
        rows.push_back(container_row(container, true));
    }
    return rows;
}

std::vector<Json> volume_details(const Json& df) {
    std::vector<Json> rows;
    for (const Json& volume : list_of(df, "Volumes")) {
        const Json usage = volume.value("UsageData", Json::object());
        const auto size = usage.is_object() ? number(usage, "Size") : -1;
        rows.push_back(
            {{"Name", volume.value("Name", "")},
             {"Links", std::to_string(usage.is_object() ? number(usage, "RefCount") : -1)},
             {"Size", size < 0 ? "N/A" : human_size(static_cast<double>(size))}});
    }
    return rows;
}

/// What a template or json sees: all rows at once.
Json details(const Json& df) {
    return {{"Images", image_details(df)},
            {"Containers", container_details(df)},
            {"Volumes", volume_details(df)},
            {"BuildCache", Json::array()}};
}

Result<std::string> section(std::string_view title, const Json& headers,
                            const std::vector<Json>& rows) {
    return fmt::format("{}\n\n{}", title, TRY(render_list(columns(headers), rows)));
}

Result<std::string> detail_tables(const Json& df) {
    std::string out = TRY(section("Images space usage:",
                                  {{"Repository", "REPOSITORY"},
                                   {"Tag", "TAG"},
                                   {"ID", "IMAGE ID"},
                                   {"CreatedSince", "CREATED"},
                                   {"Size", "SIZE"},
                                   {"SharedSize", "SHARED SIZE"},
                                   {"UniqueSize", "UNIQUE SIZE"},
                                   {"Containers", "CONTAINERS"}},
                                  image_details(df)));
    out += "\n" + TRY(section("Containers space usage:",
                              {{"ID", "CONTAINER ID"},
                               {"Image", "IMAGE"},
                               {"Command", "COMMAND"},
                               {"LocalVolumes", "LOCAL VOLUMES"},
                               {"Size", "SIZE"},
                               {"RunningFor", "CREATED"},
                               {"Status", "STATUS"},
                               {"Names", "NAMES"}},
                              container_details(df)));
    out += "\n" + TRY(section("Local Volumes space usage:",
                              {{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}},
                              volume_details(df)));
    const auto cache = human_size(static_cast<double>(cache_usage(df).size));
    out += "\n" + TRY(section("Build cache usage: " + cache,
                              {{"ID", "CACHE ID"},
                               {"CacheType", "CACHE TYPE"},
                               {"Size", "SIZE"},
                               {"CreatedSince", "CREATED"},
                               {"LastUsedSince", "LAST USED"},
                               {"UsageCount", "USAGE"},
                               {"Shared", "SHARED"}},
                              {}));
    return out;
}

/// A row of each kind of owner, or with `each` of every owner, the largest first; then the sum.
std::vector<Json> owner_rows(const Json& disk, bool each) {
    std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, std::int64_t>> found;
    for (const Json& owner : list_of(disk, "Owners")) {
        auto& [count, bytes] =
            found[{owner.value("Kind", ""), each ? owner.value("Name", "") : ""}];
        ++count;
        bytes += number(owner, "Bytes");
    }
    std::vector<Json> rows;
    const auto add = [&rows](const std::string& kind, const std::string& name, std::int64_t count,
                             std::int64_t bytes) {
        rows.push_back({{"Owner", kind},
                        {"Name", name},
                        {"Count", std::to_string(count)},
                        {"Bytes", bytes},
                        {"Size", human_size(static_cast<double>(bytes))}});
    };
    for (const auto& [owner, sum] : found) add(owner.first, owner.second, sum.first, sum.second);
    std::ranges::sort(rows, std::ranges::greater(),
                      [](const Json& row) { return number(row, "Bytes"); });
    add("all", disk.value("Root", ""), static_cast<std::int64_t>(list_of(disk, "Owners").size()),
        number(disk, "Bytes"));
    return rows;
}

Result<int> show_owners(Context& context, const FlagValues& flags) {
    const Json disk = TRY(TRY(context.client())->get("/corten/system/df"));
    const bool each = flags.on("verbose");
    print(TRY(render_list(
        {.format = flags.text("format"),
         .table = each ? "{{.Owner}}\t{{.Name}}\t{{.Size}}" : "{{.Owner}}\t{{.Count}}\t{{.Size}}",
         .headers = {{"Owner", "OWNER"},
                     {"Name", "NAME"},
                     {"Count", "COUNT"},
                     {"Bytes", "BYTES"},
                     {"Size", "SIZE"}}},
        owner_rows(disk, each))));
    return 0;
}

}  // namespace

Result<int> verb_df(Context& context, const ParsedLine& line) {
    if (line.flags.on("on-disk")) return show_owners(context, line.flags);
    const Json df = TRY(TRY(context.client())->get("/system/df"));
    const std::string& format = line.flags.text("format");
    if (line.flags.on("verbose")) {
        if (!format.empty() && format != "table") return print_formatted(details(df), format);
        print(TRY(detail_tables(df)));
        return 0;
    }
    const std::vector<Json> rows = {
        usage_row("Images", image_usage(df)), usage_row("Containers", container_usage(df)),
        usage_row("Local Volumes", volume_usage(df)), usage_row("Build Cache", cache_usage(df))};
    print(TRY(render_list({.format = format,
                           .table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t"
                                    "{{.Reclaimable}}",
                           .headers = {{"Type", "TYPE"},
                                       {"TotalCount", "TOTAL"},
                                       {"Active", "ACTIVE"},
                                       {"Size", "SIZE"},
                                       {"Reclaimable", "RECLAIMABLE"}}},
                          rows)));
    return 0;
}

}  // namespace corten::cli
