#include "../table.hpp"
#include "../terminal.hpp"
#include "../verbs.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <poll.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

namespace corten::cli {

namespace {

double number(const Json& object, const char* name) {
    const auto found = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && found != object.end() && found->is_number() ? found->get<double>()
                                                                             : 0;
}

/// Share of all CPUs since the last sample, times their number: 200 % is two CPUs.
double cpu_percent(const Json& sample) {
    const Json& now = sample["cpu_stats"];
    const Json& before = sample["precpu_stats"];
    const double used = number(now["cpu_usage"], "total_usage") -
                        number(before.value("cpu_usage", Json::object()), "total_usage");
    const double passed = number(now, "system_cpu_usage") - number(before, "system_cpu_usage");
    double cpus = number(now, "online_cpus");
    if (cpus == 0)
        cpus = static_cast<double>(now["cpu_usage"].value("percpu_usage", Json::array()).size());
    return passed > 0 && used > 0 ? used / passed * cpus * 100 : 0;
}

/// Without the page cache that would be given up first, as cgroup v1 and v2 name it.
double memory_used(const Json& memory) {
    const double usage = number(memory, "usage");
    const Json stats = memory.value("stats", Json::object());
    for (const char* name : {"total_inactive_file", "inactive_file"})
        if (stats.contains(name)) {
            const double cache = number(stats, name);
            return cache < usage ? usage - cache : usage;
        }
    return usage;
}

std::string sum_of_blocks(const Json& sample, std::string_view operation) {
    double sum = 0;
    const Json entries = sample["blkio_stats"].value("io_service_bytes_recursive", Json());
    if (entries.is_array())
        for (const Json& entry : entries)
            if (equals_ignoring_case(entry.value("op", ""), operation))
                sum += number(entry, "value");
    return human_size(sum, 3);
}

std::string sum_of_networks(const Json& sample, const char* counter) {
    double sum = 0;
    const Json networks = sample.value("networks", Json::object());
    for (const auto& [name, interface] : networks.items()) sum += number(interface, counter);
    return human_size(sum, 3);
}

Json stats_row(const Json& sample, bool shorten) {
    const Json& memory = sample["memory_stats"];
    const double used = memory_used(memory);
    const double limit = number(memory, "limit");
    std::string id = sample.value("id", "");
    std::string name = sample.value("name", "");
    if (name.starts_with('/')) name.erase(0, 1);
    return {{"BlockIO", sum_of_blocks(sample, "read") + " / " + sum_of_blocks(sample, "write")},
            {"CPUPerc", fmt::format("{:.2f}%", cpu_percent(sample))},
            {"Container", shorten ? id.substr(0, 12) : id},
            {"ID", shorten ? id.substr(0, 12) : id},
            {"MemPerc", fmt::format("{:.2f}%", limit > 0 ? used / limit * 100 : 0)},
            {"MemUsage", human_size_binary(used) + " / " + human_size_binary(limit)},
            {"Name", name},
            {"NetIO",
             sum_of_networks(sample, "rx_bytes") + " / " + sum_of_networks(sample, "tx_bytes")},
            {"PIDs", fmt::format("{:.0f}", number(sample["pids_stats"], "current"))}};
}

Result<std::vector<std::string>> names_to_show(Client& client, const ParsedLine& line) {
    if (!line.arguments.empty()) return line.arguments;
    http::Query query;
    if (line.flags.on("all")) query.add("all", "1");
    std::vector<std::string> ids;
    for (const Json& container : TRY(client.get("/containers/json", query)))
        ids.push_back(container.value("Id", ""));
    return ids;
}

/// One container's samples: read by a thread of its own, shown by the main one.
struct Watched {
    std::string name;
    std::mutex lock;
    Json sample;
    std::string error;
};

void watch(const HostOptions& host, Watched& watched, bool once) {
    const auto note = [&](const Error& error) {
        const std::lock_guard guard(watched.lock);
        watched.error = error.message();
    };
    auto client = make_client(host);
    if (!client) return note(client.error());
    http::Query query;
    query.add("stream", once ? "0" : "1");
    auto reply = client->open(
        {.path = "/containers/" + escape(watched.name) + "/stats", .query = std::move(query)});
    if (!reply) return note(reply.error());
    const auto read = reply->each_line([&](const Json& sample) -> Result<bool> {
        const std::lock_guard guard(watched.lock);
        watched.sample = sample;
        return true;
    });
    if (!read) note(read.error());
}

ListFormat stats_format(const std::string& format) {
    return {.format = format,
            .table =
                "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t"
                "{{.BlockIO}}\t{{.PIDs}}",
            .headers = {{"ID", "CONTAINER ID"},
                        {"Container", "CONTAINER"},
                        {"Name", "NAME"},
                        {"CPUPerc", "CPU %"},
                        {"MemUsage", "MEM USAGE / LIMIT"},
                        {"MemPerc", "MEM %"},
                        {"NetIO", "NET I/O"},
                        {"BlockIO", "BLOCK I/O"},
                        {"PIDs", "PIDS"}}};
}

Result<std::string> render(std::vector<std::unique_ptr<Watched>>& all, const FlagValues& flags) {
    std::vector<Json> rows;
    for (const auto& watched : all) {
        const std::lock_guard guard(watched->lock);
        if (watched->sample.is_object())
            rows.push_back(stats_row(watched->sample, !flags.on("no-trunc")));
    }
    return render_list(stats_format(flags.text("format")), rows);
}

int report_errors(std::vector<std::unique_ptr<Watched>>& all) {
    std::set<std::string> errors;
    for (const auto& watched : all) {
        const std::lock_guard guard(watched->lock);
        if (!watched->error.empty()) errors.insert(watched->error);
    }
    for (const std::string& error : errors) print_error(error);
    return errors.empty() ? 0 : 1;
}

}  // namespace

Result<int> verb_stats(Context& context, const ParsedLine& line) {
    const bool once = line.flags.on("no-stream");
    const auto names = TRY(names_to_show(*TRY(context.client()), line));
    std::vector<std::unique_ptr<Watched>> all;
    std::vector<std::thread> threads;
    for (const std::string& name : names) {
        all.push_back(std::make_unique<Watched>());
        all.back()->name = name;
        threads.emplace_back(watch, std::cref(context.host()), std::ref(*all.back()), once);
    }
    if (once) {
        for (std::thread& thread : threads) thread.join();
        print(TRY(render(all, line.flags)));
        return report_errors(all);
    }
    for (std::thread& thread : threads) thread.detach();  // they end with the program
    const bool terminal = is_terminal(standard_output());
    while (true) {
        ::poll(nullptr, 0, 1000);
        // Redraws from the top left corner; a pipe just gets one table after another.
        print((terminal ? "\x1b[H\x1b[J" : "") + TRY(render(all, line.flags)));
        if (const int code = report_errors(all); code != 0) std::_Exit(code);
    }
}

}  // namespace corten::cli
