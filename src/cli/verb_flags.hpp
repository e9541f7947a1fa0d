#pragma once
// The flags of every verb but run and create (create_flags.cpp has those).
#include "command.hpp"

namespace corten::cli::verb_flags {

using enum FlagKind;

inline constexpr Flag format_flag{"format", 'f', text, "Go template, or json"};
inline constexpr Flag list_format_flag{
    "format", 0, text, "table, json, a Go template, or 'table TEMPLATE' for columns of your own"};
inline constexpr Flag filter_flag{"filter", 'f', list, "Show only what fits, as key=value",
                                  "filter"};
inline constexpr Flag full_flag{"no-trunc", 0, toggle, "Do not shorten anything"};
inline constexpr Flag ids_flag{"quiet", 'q', toggle, "Show ids only"};
inline constexpr Flag sure_flag{"force", 'f', toggle, "Do not ask"};
inline constexpr Flag platform_flag{"platform", 0, text, "Platform, e.g. linux/arm64"};
inline constexpr Flag detach_keys_flag{
    "detach-keys", 0, text, "Keys that leave the container running", "", "ctrl-p,ctrl-q"};

inline constexpr const char* no_checkpoints =
    "checkpoints of containers are not implemented; corten-runtime makes those of a bundle";

inline constexpr Flag start_flags[] = {
    {"attach", 'a', toggle, "Show its output, pass signals on, and wait for its end"},
    detach_keys_flag,
    {"interactive", 'i', toggle, "Attach its stdin too"},
    {"checkpoint", 0, text, "", "", "", "", no_checkpoints},
    {"checkpoint-dir", 0, text, "", "", "", "", no_checkpoints},
};
inline constexpr Flag attach_flags[] = {
    detach_keys_flag,
    {"no-stdin", 0, toggle, "Do not attach stdin"},
    {"sig-proxy", 0, toggle, "Pass signals on to the process", "", "true"},
};
inline constexpr Flag exec_flags[] = {
    {"detach", 'd', toggle, "Run in the background"},
    detach_keys_flag,
    {"env", 'e', list, "Variable to set: NAME=value, or NAME to pass yours on"},
    {"env-file", 0, list, "File of variables, one a line"},
    {"interactive", 'i', toggle, "Pass stdin on"},
    {"privileged", 0, toggle, "Give the command all capabilities"},
    {"tty", 't', toggle, "Give it a terminal"},
    {"user", 'u', text, "User to run as: name|uid[:group|gid]"},
    {"workdir", 'w', text, "Working directory inside"},
};
inline constexpr Flag stop_flags[] = {
    {"signal", 's', text, "Signal that asks it to end (the image's, or SIGTERM)"},
    {"timeout", 't', integer, "Seconds until it is killed; -1 waits for ever"},
    {"time", 0, integer, "", "", "", "timeout"},
};
inline constexpr Flag kill_flags[] = {
    {"signal", 's', text, "Signal to send (SIGKILL when not given)"}};
inline constexpr Flag rm_flags[] = {
    {"force", 'f', toggle, "Kill it first when it runs"},
    {"link", 'l', toggle, "Remove the link of that name, not the container"},
    {"volumes", 'v', toggle, "Remove its anonymous volumes too"},
};
inline constexpr Flag ps_flags[] = {
    {"all", 'a', toggle, "Show stopped containers too"},
    filter_flag,
    list_format_flag,
    {"last", 'n', integer, "Show the N newest, whatever their state", "", "-1"},
    {"latest", 'l', toggle, "Show the newest one, whatever its state"},
    full_flag,
    ids_flag,
    {"size", 's', toggle, "Show how much was written"},
};
inline constexpr Flag log_flags[] = {
    {"details", 0, toggle, "Show the labels and variables that were logged"},
    {"follow", 'f', toggle, "Go on as more is written"},
    {"since", 0, text, "Only from this time on: 2026-01-02T15:04:05Z, or 42m for that long ago"},
    {"tail", 'n', text, "Number of last lines", "", "all"},
    {"timestamps", 't', toggle, "Show when each line was written"},
    {"until", 0, text, "Only up to this time"},
};
inline constexpr Flag stats_flags[] = {
    {"all", 'a', toggle, "Show stopped containers too"},
    list_format_flag,
    {"no-stream", 0, toggle, "Show once and end"},
    full_flag,
};
inline constexpr Flag cp_flags[] = {
    {"archive", 'a', toggle, "Keep user and group"},
    {"follow-link", 'L', toggle, "Copy what a symlink points to"},
    {"quiet", 'q', toggle, "Do not tell what was copied"},
};
inline constexpr Flag commit_flags[] = {
    {"author", 'a', text, "Who made it"},
    {"change", 'c', list, "Dockerfile instruction to apply, e.g. CMD [\"sh\"]"},
    {"message", 'm', text, "What was changed"},
    {"pause", 'p', toggle, "Freeze the container meanwhile", "", "true"},
};
inline constexpr Flag output_flags[] = {
    {"output", 'o', text, "File to write to, instead of stdout"}};
inline constexpr Flag save_flags[] = {{"output", 'o', text, "File to write to, instead of stdout"},
                                      platform_flag};
inline constexpr Flag load_flags[] = {{"input", 'i', text, "File to read, instead of stdin"},
                                      platform_flag,
                                      {"quiet", 'q', toggle, "Do not show progress"}};
inline constexpr Flag import_flags[] = {
    {"change", 'c', list, "Dockerfile instruction to apply, e.g. CMD [\"sh\"]"},
    {"message", 'm', text, "Comment of the image"},
    platform_flag,
};
inline constexpr Flag inspect_flags[] = {
    format_flag,
    {"size", 's', toggle, "Tell how much a container has written"},
    {"type", 0, text, "Kind of object: container, image, network, volume"},
};
inline constexpr Flag container_inspect_flags[] = {
    format_flag, {"size", 's', toggle, "Tell how much it has written"}};
inline constexpr Flag image_inspect_flags[] = {format_flag, platform_flag};
inline constexpr Flag network_inspect_flags[] = {format_flag,
                                                 {"verbose", 'v', toggle, "Tell more"}};
inline constexpr Flag volume_inspect_flags[] = {format_flag};
inline constexpr Flag prune_flags[] = {
    {"filter", 0, list, "Only what fits, as key=value", "filter"}, sure_flag};
inline constexpr Flag prune_all_flags[] = {
    {"all", 'a', toggle, "Remove what is unused, named or not"},
    {"filter", 0, list, "Only what fits, as key=value", "filter"},
    sure_flag,
};
inline constexpr Flag system_prune_flags[] = {
    {"all", 'a', toggle, "Remove all unused images, not only dangling ones"},
    {"filter", 0, list, "Only what fits, as key=value", "filter"},
    sure_flag,
    {"volumes", 0, toggle, "Remove anonymous volumes too"},
};
inline constexpr Flag store_check_flags[] = {
    {"quick", 0, toggle, "Do not read all data to compare its digests"},
    {"repair", 0, toggle, "Mend what can be mended: remove what is broken or not needed"},
    {"format", 'f', text, "text, or json for programs", "", "text"},
};
inline constexpr Flag explain_flags[] = {
    {"format", 'f', text, "tree, or json for programs", "", "tree"}};

inline constexpr Flag pull_flags[] = {
    {"all-tags", 'a', toggle, "Get every tag of the repository"},
    content_trust_flag,
    platform_flag,
    {"quiet", 'q', toggle, "Do not show progress"},
};
inline constexpr Flag images_flags[] = {
    {"all", 'a', toggle, "Show intermediate images too"},
    {"digests", 0, toggle, "Show digests"},
    filter_flag,
    list_format_flag,
    full_flag,
    ids_flag,
    {"tree", 0, toggle, "Show the platforms of each image"},
};
inline constexpr Flag rmi_flags[] = {
    {"force", 'f', toggle, "Remove it although a container uses it"},
    {"no-prune", 0, toggle, "Keep parents that have no name"},
    {"platform", 0, list, "Remove only this platform's image of several, e.g. linux/arm64"},
};
inline constexpr Flag history_flags[] = {
    list_format_flag, {"human", 'H', toggle, "Sizes and dates for people", "", "true"},
    full_flag,        platform_flag,
    ids_flag,
};
inline constexpr Flag search_flags[] = {
    filter_flag, list_format_flag, {"limit", 0, integer, "Most results"}, full_flag};
inline constexpr Flag manifest_inspect_flags[] = {
    {"insecure", 0, toggle,
     "Take the registry without TLS, or with a certificate nobody vouches for"},
    {"verbose", 'v', toggle, "Show each platform's manifest, with its descriptor"},
};
inline constexpr Flag bootstrap_flags[] = {{"quiet", 'q', toggle, "Do not show progress"}};

inline constexpr Flag network_ls_flags[] = {filter_flag, list_format_flag, full_flag, ids_flag};
inline constexpr Flag network_create_flags[] = {
    {"attachable", 0, toggle, "Let containers be attached by hand"},
    {"aux-address", 0, list, "Address that something else uses, as name=address", "map"},
    {"driver", 'd', text, "Driver", "", "bridge"},
    {"gateway", 0, list, "Address of the bridge in the subnet"},
    {"internal", 0, toggle, "No way out of the network"},
    {"ip-range", 0, list, "Part of the subnet to give addresses from"},
    {"ipam-driver", 0, text, "Driver that gives out addresses", "", "default"},
    {"ipam-opt", 0, list, "Option of that driver, as key=value", "map"},
    {"ipv4", 0, toggle, "IPv4 addresses", "", "true"},
    {"ipv6", 0, toggle, "IPv6 addresses"},
    {"label", 0, list, "Label, as key=value"},
    {"opt", 'o', list, "Option of the driver, as key=value", "map"},
    {"scope", 0, text, "Scope of the network"},
    {"subnet", 0, list, "Subnet, e.g. 10.8.0.0/24"},
    {"config-from", 0, text, "", "", "", "", "it is for swarm services"},
    {"config-only", 0, toggle, "", "", "", "", "it is for swarm services"},
    {"ingress", 0, toggle, "", "", "", "", "it is for swarm services"},
};
inline constexpr Flag connect_flags[] = {
    {"alias", 0, list, "Name of the container on the network"},
    {"driver-opt", 0, list, "Option of the driver, as key=value"},
    {"gw-priority", 0, integer, "The network with the highest gives the default route"},
    {"ip", 0, text, "IPv4 address"},
    {"ip6", 0, text, "IPv6 address"},
    {"link", 0, list, "Container to link to, as name[:alias]"},
    {"link-local-ip", 0, list, "Link-local address"},
};
inline constexpr Flag disconnect_flags[] = {
    {"force", 'f', toggle, "Even if the container is broken"}};
inline constexpr Flag network_rm_flags[] = {
    {"force", 'f', toggle, "Be content when there is none"}};

inline constexpr Flag volume_ls_flags[] = {
    filter_flag, list_format_flag, {"quiet", 'q', toggle, "Show names only"}};
inline constexpr Flag volume_create_flags[] = {
    {"driver", 'd', text, "Driver", "", "local"},
    {"label", 0, list, "Label, as key=value"},
    {"name", 0, text, "Name (also without the flag)"},
    {"opt", 'o', list, "Option of the driver, as key=value", "map"},
};
inline constexpr Flag volume_rm_flags[] = {{"force", 'f', toggle, "Be content when there is none"}};

inline constexpr Flag version_flags[] = {format_flag,
                                         {"client", 0, toggle, "Do not ask the daemon"}};
inline constexpr Flag info_flags[] = {format_flag};
inline constexpr Flag event_flags[] = {
    filter_flag,
    {"format", 0, text, "Go template, or json"},
    {"since", 0, text, "Show past events from this time on"},
    {"until", 0, text, "End at this time"},
};
inline constexpr Flag df_flags[] = {
    list_format_flag,
    {"on-disk", 0, toggle, "Show whose every block is that du finds below the data root"},
    {"verbose", 'v', toggle, "Show every image, container and volume, or every owner of blocks"},
};
inline constexpr Flag login_flags[] = {
    {"password", 'p', text, "Password (others may see it; better --password-stdin)"},
    {"password-stdin", 0, toggle, "Read the password from stdin"},
    {"username", 'u', text, "User name"},
};

}  // namespace corten::cli::verb_flags
