// manifest inspect: what a registry has under a name (GET /corten/manifest).
#include "../verbs.hpp"
#include "pulling.hpp"

#include <apitypes/image.hpp>
#include <base/text.hpp>

namespace corten::cli {

namespace {

/// Asks the daemon, which asks the registry of `name`, for one name after the other.
class Asker {
public:
    static Result<Asker> create(Context& context, const Reference& name, bool insecure) {
        return Asker(*TRY(context.client()), TRY(registry_auth(context, name.domain)), insecure);
    }

    Result<apitypes::ManifestInspect> ask(const Reference& name) const;

private:
    Asker(Client& client, std::string auth, bool insecure)
        : client_(client), auth_(std::move(auth)), insecure_(insecure) {}

    Client& client_;
    std::string auth_;
    bool insecure_;
};

Result<apitypes::ManifestInspect> Asker::ask(const Reference& name) const {
    Request request{.path = "/corten/manifest"};
    request.query.add("reference", name.canonical());
    if (insecure_) request.query.add("insecure", "1");
    request.headers.set("X-Registry-Auth", auth_);
    const auto reply = client_.call(std::move(request));
    if (!reply && reply.error().kind() == ErrorKind::not_found)
        return fail(ErrorKind::not_found, "no such manifest: {}", name.familiar());
    return from_json<apitypes::ManifestInspect>(TRY(reply), "manifest");
}

Result<Json> document_of(const apitypes::ManifestInspect& found) {
    return parse_json(TRY(base64_decode(found.raw)), "manifest of " + found.reference);
}

bool is_index(const Json& document) {
    return document.contains("manifests");
}

void print_document(const Json& json, int width, char indent) {
    print_line(json.dump(width, indent, false, Json::error_handler_t::replace));
}

/// As docker shows a manifest: its bytes and what they say.
Result<Json> shown(const apitypes::ManifestInspect& found) {
    Json out = to_json(found);
    const bool docker = found.descriptor.media_type.starts_with("application/vnd.docker.");
    out[docker ? "SchemaV2Manifest" : "OCIManifest"] = TRY(document_of(found));
    return out;
}

/// Of an entry the index says for which platform it is.
Result<Json> shown_entry(const Asker& asker, Reference name, const Json& entry) {
    const auto descriptor = TRY(from_json<oci::Descriptor>(entry, "entry of the index"));
    name.digest = descriptor.digest;
    auto found = TRY(asker.ask(name));
    if (descriptor.platform) found.descriptor.platform = descriptor.platform;
    return shown(found);
}

Result<Json> shown_entries(const Asker& asker, const Reference& name, const Json& index) {
    Json list = Json::array();
    for (const Json& entry : index["manifests"])
        list.push_back(TRY(shown_entry(asker, name, entry)));
    return list;
}

}  // namespace

Result<int> verb_manifest_inspect(Context& context, const ParsedLine& line) {
    const auto name = TRY(Reference::parse(line.arguments[0])).with_default_tag();
    const auto asker = TRY(Asker::create(context, name, line.flags.on("insecure")));
    const auto found = TRY(asker.ask(name));
    const Json document = TRY(document_of(found));
    if (!is_index(document))
        print_document(line.flags.on("verbose") ? TRY(shown(found)) : document, 1, '\t');
    else if (line.flags.on("verbose"))
        print_document(TRY(shown_entries(asker, name, document)), 1, '\t');
    else
        print_document(document, 3, ' ');
    return 0;
}

}  // namespace corten::cli
