#pragma once
// CRIU by its own protocol: `criu swrk` is a child that gets one request on a seqpacket socket,
// may tell stages of its work (and waits for the answer), and ends with a response.
// The messages are those of images/rpc.proto in CRIU's source.
#include "criu_message.hpp"
#include "options.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <runtime/restore_root.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace corten::runtime_cli {

enum class CriuAction { dump = 1, restore = 2, pre_dump = 4 };

/// What becomes of a descriptor of ours in criu: under `key` when it has one.
struct CriuFd {
    std::string key;
    Fd fd;
};

struct CriuRequest {
    CriuAction action = CriuAction::dump;
    /// criu_opts of rpc.proto, without what the fields below say.
    MessageWriter options;
    std::vector<CriuFd> inherited;
    std::string images;    ///< absolute paths of directories that exist
    std::string work;      ///< where the log is
    std::string log_file;  ///< a name
    /// For a restore: whose user namespace's root the images are to be for. nullptr for a dump.
    const oci::Linux* mapped_root = nullptr;
    /// criu and so what it restores is put into this group, when it is valid.
    cgroup::Group group;
    /// The directory that criu takes for the container's root, mounted in a namespace of criu's
    /// own: "" for a dump.
    std::string root;
    /// Standard streams of what is restored: ours.
    bool pass_stdio = false;
};

/// A stage that criu tells, with the process' id and perhaps a descriptor.
struct CriuStage {
    std::string name;
    pid_t pid = 0;
    std::vector<Fd> fds;
};
using OnStage = std::function<Result<void>(CriuStage)>;

/// unsupported when there is no criu, or one before 3.15.
Result<void> check_criu();

/// Runs a request to its end. The pid of what was restored, 0 for a dump. The error has what criu
/// said and names its log. A criu that fails has undone its work.
Result<pid_t> run_criu(CriuRequest request, const OnStage& on_stage);

/// A mount of the container that comes from outside: CRIU keeps its place, and asks what to put
/// there. `key` is what the images call it: "mounts[2]", since two destinations may be one place in
/// the root, and one that the container chose must not name another's source.
struct ExternalMount {
    std::string inside;
    std::string key;
    std::string source;
};
/// unsupported when two are at one place.
Result<std::vector<ExternalMount>> external_mounts(const oci::Spec& spec,
                                                   const runtime::BundleRoot& root,
                                                   const cgroup::Group& group);
/// The key of the host's /dev/null on each path that is masked.
inline constexpr std::string_view masked_path_key = "masked";

/// Namespaces that the specification joins by path and CRIU takes as given: type and path.
std::vector<std::pair<std::string, std::string>> external_namespaces(const oci::Spec& spec);
/// "net" -> "extRootNetNS".
std::string namespace_key(std::string_view type);

/// unsupported when a namespace is one that criu cannot make again.
Result<void> check_can_criu(const oci::Spec& spec);

enum class IfMissing { fail, make };  ///< a directory
/// A request with its directories (images are in ./checkpoint unless told otherwise, the log beside
/// them) and the options that both kinds have: also a file with more of them, as runc has it, from
/// the annotation org.criu.config or else, where there is one, /etc/criu/runc.conf.
Result<CriuRequest> begin_request(CriuAction action, const CriuOptions& options,
                                  const oci::Spec& spec, IfMissing images,
                                  std::string_view log_file);
void add_external_mount(MessageWriter& options, std::string_view key, std::string_view value);

/// In the images: what the container's standard streams were, as JSON: ["pipe:[5]", ...].
inline constexpr std::string_view descriptors_file = "descriptors.json";

}  // namespace corten::runtime_cli
