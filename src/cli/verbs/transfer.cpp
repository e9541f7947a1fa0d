// pull, push, save, load, import, export, commit, image bootstrap, volume export and import: images
// and volumes on their way.
#include "../progress.hpp"
#include "../session.hpp"
#include "../verbs.hpp"
#include "pulling.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

namespace corten::cli {

namespace {

bool names_no_tag(std::string_view text) {
    const auto slash = text.rfind('/');
    const std::string_view last = slash == text.npos ? text : text.substr(slash + 1);
    return last.find(':') == last.npos && last.find('@') == last.npos;
}

ByteSource source_of(std::shared_ptr<Fd> file) {
    return
        [file = std::move(file)](std::span<char> buffer) { return sys::read_some(*file, buffer); };
}

/// A file to read, or standard input for "" and "-".
Result<std::shared_ptr<Fd>> open_input(const std::string& path) {
    if (path.empty() || path == "-") {
        if (is_terminal(standard_input()))
            return fail(ErrorKind::invalid, "requested load from stdin, but stdin is empty");
        return std::make_shared<Fd>(TRY(sys::open("/proc/self/fd/0", O_RDONLY)));
    }
    return std::make_shared<Fd>(TRY(sys::open(path, O_RDONLY)));
}

/// Copies a reply to a file, or to standard output when no file is named.
Result<void> store(Reply reply, const std::string& path) {
    if (path.empty() && is_terminal(standard_output()))
        return fail(ErrorKind::invalid,
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    Fd file;
    if (!path.empty()) file = TRY(sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    std::vector<char> buffer(256 << 10);
    while (true) {
        const std::size_t count = TRY(reply.read(buffer));
        if (count == 0) return {};
        TRY(write_output(path.empty() ? 1 : file.raw(), {buffer.data(), count}));
    }
}

Result<void> send_archive(Context& context, Request request, const std::string& input, bool quiet) {
    request.method = "POST";
    request.body = source_of(TRY(open_input(input)));
    request.content_type = "application/x-tar";
    Reply reply = TRY(TRY(context.client())->open(std::move(request)));
    return show_progress(std::move(reply), false, quiet);
}

}  // namespace

Result<int> verb_pull(Context& context, const ParsedLine& line) {
    const std::string& given = line.arguments[0];
    const Reference name = TRY(Reference::parse(given)).with_default_tag();
    const bool all = line.flags.on("all-tags");
    const bool quiet = line.flags.on("quiet");
    if (all && !names_no_tag(given))
        return fail(ErrorKind::invalid, "tag can't be used with --all-tags/-a");
    if (!all && !quiet && names_no_tag(given)) print_line("Using default tag: latest");
    TRY(pull_image(context, name,
                   {.platform = line.flags.text("platform"), .all_tags = all, .quiet = quiet}));
    print_line(all ? name.name()
                   : name.name() + (name.digest.empty() ? ":" + name.tag : "@" + name.digest));
    return 0;
}

Result<int> verb_push(Context& context, const ParsedLine& line) {
    const Reference name = TRY(Reference::parse(line.arguments[0])).with_default_tag();
    http::Query query;
    if (!line.flags.on("all-tags")) query.add("tag", name.tag);
    TRY(add_platform(query, line.flags));
    Request request{.method = "POST",
                    .path = "/images/" + name.familiar_name() + "/push",
                    .query = std::move(query)};
    request.headers.set("X-Registry-Auth", TRY(registry_auth(context, name.domain)));
    if (names_no_tag(line.arguments[0]) && !line.flags.on("all-tags") && !line.flags.on("quiet"))
        print_line("Using default tag: latest");
    Reply reply = TRY(TRY(context.client())->open(std::move(request)));
    TRY(show_progress(std::move(reply), false, line.flags.on("quiet")));
    if (line.flags.on("quiet")) print_line(name.name() + ":" + name.tag);
    return 0;
}

Result<int> verb_save(Context& context, const ParsedLine& line) {
    http::Query query;
    for (const std::string& name : line.arguments) query.add("names", name);
    TRY(add_platform(query, line.flags));
    Reply reply =
        TRY(TRY(context.client())->open({.path = "/images/get", .query = std::move(query)}));
    TRY(store(std::move(reply), line.flags.text("output")));
    return 0;
}

Result<int> verb_load(Context& context, const ParsedLine& line) {
    http::Query query;
    query.add("quiet", line.flags.on("quiet") ? "1" : "0");
    TRY(add_platform(query, line.flags));
    TRY(send_archive(context, {.path = "/images/load", .query = std::move(query)},
                     line.flags.text("input"), false));
    return 0;
}

Result<int> verb_import(Context& context, const ParsedLine& line) {
    const std::string& source = line.arguments[0];
    http::Query query;
    for (const std::string& change : line.flags.list("change")) query.add("changes", change);
    const bool remote = source.find("://") != source.npos;
    query.add("fromSrc", remote ? source : "-");
    if (!line.flags.text("message").empty()) query.add("message", line.flags.text("message"));
    if (!line.flags.text("platform").empty()) query.add("platform", line.flags.text("platform"));
    if (line.arguments.size() > 1) query.add("repo", line.arguments[1]);
    Request request{.method = "POST", .path = "/images/create", .query = std::move(query)};
    if (!remote) {
        TRY(send_archive(context, std::move(request), source, false));
        return 0;
    }
    Reply reply = TRY(TRY(context.client())->open(std::move(request)));
    TRY(show_progress(std::move(reply), false, false));
    return 0;
}

Result<int> verb_export(Context& context, const ParsedLine& line) {
    Reply reply = TRY(TRY(context.client())
                          ->open({.path = "/containers/" + escape(line.arguments[0]) + "/export"}));
    TRY(store(std::move(reply), line.flags.text("output")));
    return 0;
}

Result<int> verb_volume_export(Context& context, const ParsedLine& line) {
    const std::string path = "/corten/volumes/" + escape(line.arguments[0]) + "/archive";
    Reply reply = TRY(TRY(context.client())->open({.path = path}));
    TRY(store(std::move(reply), line.flags.text("output")));
    return 0;
}

Result<int> verb_volume_import(Context& context, const ParsedLine& line) {
    Request request{.method = "POST",
                    .path = "/corten/volumes/" + escape(line.arguments[0]) + "/archive",
                    .content_type = "application/x-tar"};
    const std::string input = line.arguments.size() > 1 ? line.arguments[1] : "";
    request.body = source_of(TRY(open_input(input)));
    Reply reply = TRY(TRY(context.client())->open(std::move(request)));
    TRY(reply.text());
    print_line(line.arguments[0]);
    return 0;
}

Result<int> verb_commit(Context& context, const ParsedLine& line) {
    http::Query query;
    query.add("author", line.flags.text("author"));
    for (const std::string& change : line.flags.list("change")) query.add("changes", change);
    query.add("comment", line.flags.text("message"));
    query.add("container", line.arguments[0]);
    if (!line.flags.on("pause")) query.add("pause", "0");
    if (line.arguments.size() > 1) {
        const Reference name = TRY(Reference::parse(line.arguments[1])).with_default_tag();
        query.add("repo", name.name());
        query.add("tag", name.tag);
    }
    const Json reply = TRY(TRY(context.client())->post("/commit", query));
    print_line(reply.value("Id", ""));
    return 0;
}

Result<int> verb_image_bootstrap(Context& context, const ParsedLine& line) {
    http::Query query;
    query.add("name", line.arguments[0]);
    Reply reply = TRY(
        TRY(context.client())
            ->open(
                {.method = "POST", .path = "/corten/images/bootstrap", .query = std::move(query)}));
    TRY(show_progress(std::move(reply), false, line.flags.on("quiet")));
    return 0;
}

}  // namespace corten::cli
