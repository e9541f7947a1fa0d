// cp: files between this machine and a container, as tar archives.
#include "../path_rules.hpp"
#include "../session.hpp"
#include "../tar.hpp"
#include "../verbs.hpp"

#include <apitypes/container.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/file.hpp>

#include <unistd.h>

#include <filesystem>

namespace corten::cli {

namespace {

std::string archive_path(const std::string& container) {
    return "/containers/" + escape(container) + "/archive";
}

http::Query path_query(const std::string& path) {
    http::Query query;
    query.add("path", path);
    return query;
}

/// What stands at a path in a container; nullopt when there is nothing.
Result<std::optional<apitypes::PathStat>> stat_inside(Client& client, const std::string& container,
                                                      const std::string& path) {
    auto reply =
        client.open({.method = "HEAD", .path = archive_path(container), .query = path_query(path)});
    if (!reply) {
        if (reply.error().kind() != ErrorKind::not_found) return std::move(reply).error();
        // A HEAD reply has no message: is it the container that is missing?
        TRY(client.get("/containers/" + escape(container) + "/json"));
        return std::optional<apitypes::PathStat>();
    }
    const std::string header(reply->headers().get_or("X-Docker-Container-Path-Stat", ""));
    auto stat = TRY(parse_as<apitypes::PathStat>(TRY(base64_decode(header)), "path stat"));
    client.recycle(std::move(*reply));
    return std::optional(std::move(stat));
}

bool is_directory(const apitypes::PathStat& stat) {
    return (stat.mode & go_mode_directory) != 0;
}
bool is_symlink(const apitypes::PathStat& stat) {
    return (stat.mode & go_mode_symlink) != 0;
}

/// Follows symlinks in a container, as a path of its own root.
Result<std::string> resolve_inside(Client& client, const std::string& container, std::string path) {
    constexpr int most_links = 40;
    for (int i = 0; i < most_links; ++i) {
        const auto stat = TRY(stat_inside(client, container, path));
        if (!stat || !is_symlink(*stat) || stat->link_target.empty()) return path;
        const bool absolute = stat->link_target.starts_with('/');
        path = absolute ? stat->link_target : parent_of(path) + "/" + stat->link_target;
    }
    return fail(ErrorKind::invalid, "{}: too many symbolic links", path);
}

/// Counts what goes through, for the closing message.
struct Meter {
    std::uint64_t bytes = 0;
    void report(bool quiet, const std::string& target) const {
        if (quiet) return;
        print_error(fmt::format("Successfully copied {} to {}",
                                human_size(static_cast<double>(bytes), 3), target));
    }
};

Result<void> put_archive(Client& client, const std::string& container, const std::string& directory,
                         ByteSource body, bool keep_owner) {
    http::Query query = path_query(directory);
    query.add("noOverwriteDirNonDir", "true");
    if (keep_owner) query.add("copyUIDGID", "true");
    TRY(client.call({.method = "PUT",
                     .path = archive_path(container),
                     .query = std::move(query),
                     .body = std::move(body),
                     .content_type = "application/x-tar"}));
    return {};
}

Result<std::string> follow_here(const std::string& path, bool follow) {
    if (!follow) return path;
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    if (error) return fail(ErrorKind::not_found, "{}: {}", path, error.message());
    return real.string() + (ends_in_dot(path) ? "/." : "");
}

Result<void> copy_in(Client& client, const std::string& source, const ContainerPath& target,
                     const FlagValues& flags) {
    if (source == "-") {
        const auto body = [](std::span<char> buffer) {
            return sys::read_some(standard_input(), buffer);
        };
        return put_archive(client, target.container, target.path, body, flags.on("archive"));
    }
    const std::string from = TRY(follow_here(source, flags.on("follow-link")));
    const bool directory = TRY(is_directory_here(from));
    const std::string resolved = TRY(resolve_inside(client, target.container, target.path));
    const auto there = TRY(stat_inside(client, target.container, resolved));
    const CopyPlan plan =
        TRY(plan_copy({.path = from, .exists = true, .directory = directory},
                      {.path = ends_in_slash(target.path) ? resolved + "/" : resolved,
                       .exists = there.has_value(),
                       .directory = there && is_directory(*there)}));
    Meter meter;
    ByteSource archive = TRY(tar_of(from, plan.name));
    const auto counted = [&](std::span<char> buffer) -> Result<std::size_t> {
        const std::size_t count = TRY(archive(buffer));
        meter.bytes += count;
        return count;
    };
    TRY(put_archive(client, target.container, plan.directory, counted, flags.on("archive")));
    meter.report(flags.on("quiet"), target.container + ":" + target.path);
    return {};
}

Result<void> copy_archive_out(Reply& reply) {
    std::vector<char> buffer(128 << 10);
    while (true) {
        const std::size_t count = TRY(reply.read(buffer));
        if (count == 0) return {};
        TRY(write_output(1, {buffer.data(), count}));
    }
}

Result<void> copy_out(Client& client, const ContainerPath& source, const std::string& target,
                      const FlagValues& flags) {
    std::string path = source.path;
    if (flags.on("follow-link")) path = TRY(resolve_inside(client, source.container, path));
    const auto stat = TRY(stat_inside(client, source.container, path));
    if (!stat)
        return fail(ErrorKind::not_found,
                    "Error response from daemon: Could not find the file {} in "
                    "container {}",
                    source.path, source.container);
    Reply reply = TRY(client.open(
        {.path = archive_path(source.container), .query = path_query(without_dot(path))}));
    if (target == "-") return copy_archive_out(reply);
    const CopyPlan plan = TRY(plan_copy(
        {.path = path, .exists = true, .directory = is_directory(*stat)}, TRY(end_here(target))));
    Meter meter;
    const auto counted = [&](std::span<char> buffer) -> Result<std::size_t> {
        const std::size_t count = TRY(reply.read(buffer));
        meter.bytes += count;
        return count;
    };
    TRY(untar(counted, plan.directory, plan.name, {.keep_owner = flags.on("archive")}));
    meter.report(flags.on("quiet"), target);
    return {};
}

}  // namespace

Result<int> verb_cp(Context& context, const ParsedLine& line) {
    const auto from = split_container_path(line.arguments[0]);
    const auto to = split_container_path(line.arguments[1]);
    if (from && to) return fail(ErrorKind::invalid, "copying between containers is not supported");
    if (!from && !to) return fail(ErrorKind::invalid, "must specify at least one container source");
    Client& client = *TRY(context.client());
    if (to)
        TRY(copy_in(client, line.arguments[0], *to, line.flags));
    else
        TRY(copy_out(client, *from, line.arguments[1], line.flags));
    return 0;
}

}  // namespace corten::cli
