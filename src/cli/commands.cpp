// The tree of all verbs.
#include "command.hpp"
#include "create_flags.hpp"
#include "verb_flags.hpp"
#include "verbs.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

using namespace verb_flags;

constexpr const char* names_usage = "[OPTIONS] CONTAINER [CONTAINER...]";
constexpr const char* one_usage = "[OPTIONS] CONTAINER";

// One definition for each verb that stands in two places, e.g. `ps` and `container ls`.
Command run_command() {
    return {"run",
            "Create a container from an image and run it",
            "[OPTIONS] IMAGE [COMMAND] [ARG...]",
            run_flags(),
            1,
            any_number,
            verb_run,
            "corten run -it --rm debian bash  # A shell that leaves nothing behind\n"
            "corten run -d --name web -p 8080:80 -v site:/www nginx  # A server with a volume\n"
            "corten run --rm -m 256m --cpus 0.5 --network none busybox sha256sum /etc/passwd"
            "  # A job with limits and without network",
            FlagOrder::before_arguments};
}
Command create_command() {
    return {
        "create",
        "Create a container without starting it",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        create_flags(),
        1,
        any_number,
        verb_create,
        "corten create --name job busybox date  # To be started later with: corten start -a job",
        FlagOrder::before_arguments};
}
Command update_command() {
    return {"update",    "Change limits and restart policy of containers",
            names_usage, update_flags(),
            1,           any_number,
            verb_update, "corten update -m 512m --memory-swap 1g web  # More memory, at once"};
}

constexpr Command exec_command = {
    "exec",
    "Run a command in a running container",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    exec_flags,
    2,
    any_number,
    verb_exec,
    "corten exec -it web sh  # A shell beside the server\n"
    "corten exec -u root -w /etc web ls -l  # Another user and directory",
    FlagOrder::before_arguments};
constexpr Command ps_command = {
    "ps",
    "List containers",
    "[OPTIONS]",
    ps_flags,
    0,
    0,
    verb_ps,
    "corten ps -a  # All, stopped ones too\n"
    "corten ps --filter status=exited --format '{{.Names}}: {{.Status}}'  # In your own words"};
constexpr Command start_command = {
    "start",     "Start containers that were stopped or only created",
    names_usage, start_flags,
    1,           any_number,
    verb_start,  "corten start -ai job  # Start and attach"};
constexpr Command attach_command = {
    "attach",    "Attach the terminal to a running container",   one_usage, attach_flags, 1, 1,
    verb_attach, "corten attach web  # Leave with Ctrl-P Ctrl-Q"};
constexpr Command stop_command = {
    "stop",      "Ask containers to end, then kill them",
    names_usage, stop_flags,
    1,           any_number,
    verb_stop,   "corten stop -t 2 web db  # At most 2 seconds to clean up"};
constexpr Command kill_command = {
    "kill",    "Send a signal to containers",     names_usage, kill_flags, 1, any_number,
    verb_kill, "corten kill -s HUP web  # Reload"};
constexpr Command restart_command = {
    "restart",    "Stop and start containers", names_usage, stop_flags, 1, any_number,
    verb_restart, "corten restart web"};
constexpr Command pause_command = {
    "pause",    "Freeze containers", "CONTAINER [CONTAINER...]", {}, 1,
    any_number, verb_pause,          "corten pause web"};
constexpr Command unpause_command = {
    "unpause",    "Let frozen containers go on", "CONTAINER [CONTAINER...]", {}, 1, any_number,
    verb_unpause, "corten unpause web"};
constexpr Command wait_command = {"wait",
                                  "Wait until containers end, and print their exit codes",
                                  "CONTAINER [CONTAINER...]",
                                  {},
                                  1,
                                  any_number,
                                  verb_wait,
                                  "corten wait job"};
constexpr Command logs_command = {
    "logs",    "Show what a container has written",
    one_usage, log_flags,
    1,         1,
    verb_logs, "corten logs -f --tail 20 web  # The last lines, and what comes"};
constexpr Command top_command = {
    "top",    "Show the processes of a container", "CONTAINER [ps OPTIONS]",   {}, 1, any_number,
    verb_top, "corten top web -o pid,user,args",   FlagOrder::before_arguments};
constexpr Command stats_command = {"stats",
                                   "Show what containers use, as it changes",
                                   "[OPTIONS] [CONTAINER...]",
                                   stats_flags,
                                   0,
                                   any_number,
                                   verb_stats,
                                   "corten stats --no-stream  # Once, for all that run"};
constexpr Command port_command = {"port",
                                  "Show published ports",
                                  "CONTAINER [PRIVATE_PORT[/PROTO]]",
                                  {},
                                  1,
                                  2,
                                  verb_port,
                                  "corten port web 80  # Where is port 80?"};
constexpr Command rename_command = {
    "rename",    "Give a container another name", "CONTAINER NEW_NAME", {}, 2, 2,
    verb_rename, "corten rename web old-web"};
constexpr Command rm_command = {
    "rm",        "Remove containers",
    names_usage, rm_flags,
    1,           any_number,
    verb_rm,     "corten rm -fv web  # Even if it runs, with its anonymous volumes",
    {},          "remove"};
constexpr Command cp_command = {
    "cp",
    "Copy files into or out of a container",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    cp_flags,
    2,
    2,
    verb_cp,
    "corten cp web:/etc/nginx ./conf  # Out\n"
    "corten cp index.html web:/www/  # In"};
constexpr Command diff_command = {
    "diff",    "Show what changed in a container's files",        "CONTAINER", {}, 1, 1,
    verb_diff, "corten diff web  # A added, C changed, D deleted"};
constexpr Command commit_command = {"commit",
                                    "Make an image of a container's changes",
                                    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
                                    commit_flags,
                                    1,
                                    2,
                                    verb_commit,
                                    "corten commit -m 'with vim' box mybox:2"};
constexpr Command export_command = {"export",    "Write a container's files as a tar archive",
                                    one_usage,   output_flags,
                                    1,           1,
                                    verb_export, "corten export -o box.tar box"};
constexpr Command explain_command = {
    "explain",
    "Show all that the engine did to this machine for a container",
    one_usage,
    explain_flags,
    1,
    1,
    verb_explain,
    "corten explain web  # Interfaces, rules, processes, cgroups, mounts, files\n"
    "corten explain --format json web  # The same for programs"};

constexpr Command pull_command = {
    "pull",
    "Get an image from a registry",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    pull_flags,
    1,
    1,
    verb_pull,
    "corten pull debian:12\n"
    "corten pull localhost:5000/team/app:1.2  # From another registry"};
constexpr Command push_command = {
    "push",    "Send an image to a registry",       "[OPTIONS] NAME[:TAG]", pull_flags, 1, 1,
    verb_push, "corten push localhost:5000/app:1.2"};
constexpr Command images_command = {
    "images",
    "List images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    images_flags,
    0,
    1,
    verb_images,
    "corten images --filter dangling=true -q  # Ids of nameless images"};
constexpr Command tag_command = {"tag",
                                 "Give an image another name",
                                 "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                                 {},
                                 2,
                                 2,
                                 verb_tag,
                                 "corten tag app:1.2 localhost:5000/app:1.2"};
constexpr Command rmi_command = {
    "rmi",      "Remove images", "[OPTIONS] IMAGE [IMAGE...]", rmi_flags, 1,
    any_number, verb_rmi,        "corten rmi app:1.1 app:1.2"};
constexpr Command history_command = {
    "history",    "Show how an image was made",      "[OPTIONS] IMAGE", history_flags, 1, 1,
    verb_history, "corten history --no-trunc debian"};
constexpr Command save_command = {"save",
                                  "Write images as a tar archive",
                                  "[OPTIONS] IMAGE [IMAGE...]",
                                  save_flags,
                                  1,
                                  any_number,
                                  verb_save,
                                  "corten save -o app.tar app:1.2"};
constexpr Command load_command = {
    "load",    "Load images from a tar archive", "[OPTIONS]", load_flags, 0, 0,
    verb_load, "corten load -i app.tar"};
constexpr Command import_command = {"import",
                                    "Make an image of a tar archive of files",
                                    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
                                    import_flags,
                                    1,
                                    2,
                                    verb_import,
                                    "corten import rootfs.tar mybase:1"};
constexpr Command search_command = {"search",
                                    "Search Docker Hub or a registry for images",
                                    "[OPTIONS] [REGISTRY/]TERM",
                                    search_flags,
                                    1,
                                    1,
                                    verb_search,
                                    "corten search --limit 5 debian"};

constexpr Command inspect_command = {
    "inspect",
    "Show everything about an object",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    inspect_flags,
    1,
    any_number,
    verb_inspect,
    "corten inspect -f '{{.State.Pid}}' web\n"
    "corten inspect -f '{{range .Mounts}}{{.Destination}} {{end}}' web"};
constexpr Command version_command = {"version",
                                     "Show the versions of command and daemon",
                                     "[OPTIONS]",
                                     version_flags,
                                     0,
                                     0,
                                     verb_version,
                                     "corten version --client"};
constexpr Command info_command = {
    "info",      "Show what the daemon knows about itself and the machine",
    "[OPTIONS]", info_flags,
    0,           0,
    verb_info,   "corten info -f '{{.Driver}} {{.CgroupVersion}}'"};
constexpr Command events_command = {
    "events",    "Show what happens, as it happens",
    "[OPTIONS]", event_flags,
    0,           0,
    verb_events, "corten events --since 10m --filter type=container --filter event=die"};
constexpr Command login_command = {"login",
                                   "Log in to a registry",
                                   "[OPTIONS] [SERVER]",
                                   login_flags,
                                   0,
                                   1,
                                   verb_login,
                                   "corten login -u me --password-stdin localhost:5000 < secret"};
constexpr Command logout_command = {
    "logout",    "Forget the credentials of a registry", "[SERVER]", {}, 0, 1,
    verb_logout, "corten logout localhost:5000"};

constexpr Command renamed(Command command, const char* name, const char* aliases = "") {
    command.name = name;
    command.aliases = aliases;
    return command;
}

std::span<const Command> container_commands() {
    static const Command commands[] = {
        attach_command,
        commit_command,
        cp_command,
        create_command(),
        diff_command,
        exec_command,
        explain_command,
        export_command,
        {"inspect", "Show everything about containers", names_usage, container_inspect_flags, 1,
         any_number, verb_container_inspect},
        kill_command,
        logs_command,
        renamed(ps_command, "ls", "list ps"),
        pause_command,
        port_command,
        {"prune", "Remove all stopped containers", "[OPTIONS]", prune_flags, 0, 0,
         verb_container_prune},
        rename_command,
        restart_command,
        rm_command,
        run_command(),
        start_command,
        stats_command,
        stop_command,
        top_command,
        unpause_command,
        update_command(),
        wait_command};
    return commands;
}

constexpr Command image_commands[] = {
    {"bootstrap", "Make an image from the distribution's own packages, without a registry",
     "[OPTIONS] debian|ubuntu|busybox", bootstrap_flags, 1, 1, verb_image_bootstrap,
     "corten image bootstrap debian  # Then: corten run -it debian bash"},
    history_command,
    import_command,
    {"inspect", "Show everything about images", "[OPTIONS] IMAGE [IMAGE...]", image_inspect_flags,
     1, any_number, verb_image_inspect},
    load_command,
    renamed(images_command, "ls", "list"),
    {"prune", "Remove unused images", "[OPTIONS]", prune_all_flags, 0, 0, verb_image_prune},
    pull_command,
    push_command,
    renamed(rmi_command, "rm", "remove"),
    save_command,
    tag_command,
};

constexpr Command manifest_commands[] = {
    {"inspect", "Show the manifest or index that a registry has under a name",
     "[OPTIONS] NAME[:TAG|@DIGEST]", manifest_inspect_flags, 1, 1, verb_manifest_inspect,
     "corten manifest inspect debian:12  # Without getting the image"},
};

constexpr Command network_commands[] = {
    {"connect", "Connect a container to a network", "[OPTIONS] NETWORK CONTAINER", connect_flags, 2,
     2, verb_network_connect},
    {"create", "Create a network", "[OPTIONS] NETWORK", network_create_flags, 1, 1,
     verb_network_create, "corten network create --subnet 10.8.0.0/24 backend"},
    {"disconnect", "Disconnect a container from a network", "[OPTIONS] NETWORK CONTAINER",
     disconnect_flags, 2, 2, verb_network_disconnect},
    {"inspect", "Show everything about networks", "[OPTIONS] NETWORK [NETWORK...]",
     network_inspect_flags, 1, any_number, verb_network_inspect},
    {"ls", "List networks", "[OPTIONS]", network_ls_flags, 0, 0, verb_network_ls, "", {}, "list"},
    {"prune", "Remove unused networks", "[OPTIONS]", prune_flags, 0, 0, verb_network_prune},
    {"rm",
     "Remove networks",
     "NETWORK [NETWORK...]",
     network_rm_flags,
     1,
     any_number,
     verb_network_rm,
     "",
     {},
     "remove"},
};

constexpr Command store_commands[] = {
    {"check", "Compare what the engine has stored with its digests and references", "[OPTIONS]",
     store_check_flags, 0, 0, verb_store_check,
     "corten store check  # Ends with 1 when something is wrong\n"
     "corten store check --repair  # Then pull again what was removed"},
};

constexpr Command volume_commands[] = {
    {"create", "Create a volume", "[OPTIONS] [VOLUME]", volume_create_flags, 0, 1,
     verb_volume_create, "corten volume create --label keep=yes data"},
    {"export", "Write a volume's files as a tar archive", "[OPTIONS] VOLUME", output_flags, 1, 1,
     verb_volume_export, "corten volume export -o data.tar data"},
    {"import",
     "Make a volume of a tar archive",
     "VOLUME [FILE|-]",
     {},
     1,
     2,
     verb_volume_import,
     "corten volume import copy data.tar\n"
     "corten volume export data | corten -H tcp://other:2376 volume import data"},
    {"inspect", "Show everything about volumes", "[OPTIONS] VOLUME [VOLUME...]",
     volume_inspect_flags, 1, any_number, verb_volume_inspect},
    {"ls", "List volumes", "[OPTIONS]", volume_ls_flags, 0, 0, verb_volume_ls, "", {}, "list"},
    {"prune", "Remove unused volumes", "[OPTIONS]", prune_all_flags, 0, 0, verb_volume_prune},
    {"rm",
     "Remove volumes",
     "[OPTIONS] VOLUME [VOLUME...]",
     volume_rm_flags,
     1,
     any_number,
     verb_volume_rm,
     "",
     {},
     "remove"},
};

constexpr Command system_commands[] = {
    {"df", "Show how much space is used", "[OPTIONS]", df_flags, 0, 0, verb_df,
     "corten system df --on-disk -v  # Adds up to what du finds below the data root"},
    events_command,
    info_command,
    {"prune", "Remove what is not used", "[OPTIONS]", system_prune_flags, 0, 0, verb_system_prune},
};

constexpr Command group(const char* name, const char* summary, std::span<const Command> children) {
    return {.name = name, .summary = summary, .children = children};
}

constexpr Flag root_flags[] = {
    {"config", 0, text, "Directory of your configuration"},
    {"context", 'c', text, "Only \"default\": use -H for another daemon"},
    {"debug", 'D', toggle, "Has no effect: errors always say all there is to say"},
    {"host", 'H', text, "Where the daemon is: unix://PATH, tcp://HOST:PORT"},
    {"log-level", 'l', text, "Has no effect, as --debug", "", "info"},
    {"tls", 0, toggle, "Speak TLS to the daemon"},
    {"tlscacert", 0, text, "File of the authorities to trust"},
    {"tlscert", 0, text, "File of your certificate"},
    {"tlskey", 0, text, "File of your key"},
    {"tlsverify", 0, toggle, "Speak TLS and check the daemon's certificate"},
    {"version", 'v', toggle, "Print the version and end"},
};

}  // namespace

std::span<const Flag> global_flags() {
    return root_flags;
}

std::span<const Command> all_commands() {
    static const Command commands[] = {
        attach_command,
        commit_command,
        group("container", "Manage containers", container_commands()),
        cp_command,
        create_command(),
        diff_command,
        events_command,
        exec_command,
        explain_command,
        export_command,
        history_command,
        group("image", "Manage images", image_commands),
        images_command,
        import_command,
        info_command,
        inspect_command,
        kill_command,
        load_command,
        login_command,
        logout_command,
        logs_command,
        group("manifest", "Look at what registries have", manifest_commands),
        group("network", "Manage networks", network_commands),
        pause_command,
        port_command,
        ps_command,
        pull_command,
        push_command,
        rename_command,
        restart_command,
        rm_command,
        rmi_command,
        run_command(),
        save_command,
        search_command,
        start_command,
        stats_command,
        stop_command,
        group("store", "Check what is stored", store_commands),
        group("system", "Manage the engine", system_commands),
        tag_command,
        top_command,
        unpause_command,
        update_command(),
        version_command,
        group("volume", "Manage volumes", volume_commands),
        wait_command};
    return commands;
}

const Command* find_command(std::span<const Command> commands, std::string_view name) {
    const auto has_name = [name](const Command& command) {
        if (name == command.name) return true;
        const auto aliases = split(command.aliases, ' ');
        return std::ranges::find(aliases, name) != aliases.end();
    };
    const auto found = std::ranges::find_if(commands, has_name);
    return found == commands.end() ? nullptr : &*found;
}

}  // namespace corten::cli
