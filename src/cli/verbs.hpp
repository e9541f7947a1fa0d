#pragma once
// Every verb's function; the tables that name them are in commands*.cpp.
#include "command.hpp"
#include "context.hpp"

namespace corten::cli {

// containers
Result<int> verb_run(Context& context, const ParsedLine& line);
Result<int> verb_create(Context& context, const ParsedLine& line);
Result<int> verb_start(Context& context, const ParsedLine& line);
Result<int> verb_attach(Context& context, const ParsedLine& line);
Result<int> verb_exec(Context& context, const ParsedLine& line);
Result<int> verb_stop(Context& context, const ParsedLine& line);
Result<int> verb_kill(Context& context, const ParsedLine& line);
Result<int> verb_restart(Context& context, const ParsedLine& line);
Result<int> verb_pause(Context& context, const ParsedLine& line);
Result<int> verb_unpause(Context& context, const ParsedLine& line);
Result<int> verb_wait(Context& context, const ParsedLine& line);
Result<int> verb_rename(Context& context, const ParsedLine& line);
Result<int> verb_rm(Context& context, const ParsedLine& line);
Result<int> verb_update(Context& context, const ParsedLine& line);
Result<int> verb_ps(Context& context, const ParsedLine& line);
Result<int> verb_logs(Context& context, const ParsedLine& line);
Result<int> verb_top(Context& context, const ParsedLine& line);
Result<int> verb_stats(Context& context, const ParsedLine& line);
Result<int> verb_port(Context& context, const ParsedLine& line);
Result<int> verb_diff(Context& context, const ParsedLine& line);
Result<int> verb_cp(Context& context, const ParsedLine& line);
Result<int> verb_commit(Context& context, const ParsedLine& line);
Result<int> verb_export(Context& context, const ParsedLine& line);
Result<int> verb_container_inspect(Context& context, const ParsedLine& line);
Result<int> verb_container_prune(Context& context, const ParsedLine& line);
Result<int> verb_explain(Context& context, const ParsedLine& line);

// images
Result<int> verb_pull(Context& context, const ParsedLine& line);
Result<int> verb_push(Context& context, const ParsedLine& line);
Result<int> verb_images(Context& context, const ParsedLine& line);
Result<int> verb_tag(Context& context, const ParsedLine& line);
Result<int> verb_rmi(Context& context, const ParsedLine& line);
Result<int> verb_history(Context& context, const ParsedLine& line);
Result<int> verb_save(Context& context, const ParsedLine& line);
Result<int> verb_load(Context& context, const ParsedLine& line);
Result<int> verb_import(Context& context, const ParsedLine& line);
Result<int> verb_search(Context& context, const ParsedLine& line);
Result<int> verb_image_inspect(Context& context, const ParsedLine& line);
Result<int> verb_image_prune(Context& context, const ParsedLine& line);
Result<int> verb_manifest_inspect(Context& context, const ParsedLine& line);
Result<int> verb_image_bootstrap(Context& context, const ParsedLine& line);

// networks and volumes
Result<int> verb_network_ls(Context& context, const ParsedLine& line);
Result<int> verb_network_create(Context& context, const ParsedLine& line);
Result<int> verb_network_rm(Context& context, const ParsedLine& line);
Result<int> verb_network_inspect(Context& context, const ParsedLine& line);
Result<int> verb_network_connect(Context& context, const ParsedLine& line);
Result<int> verb_network_disconnect(Context& context, const ParsedLine& line);
Result<int> verb_network_prune(Context& context, const ParsedLine& line);
Result<int> verb_volume_ls(Context& context, const ParsedLine& line);
Result<int> verb_volume_create(Context& context, const ParsedLine& line);
Result<int> verb_volume_rm(Context& context, const ParsedLine& line);
Result<int> verb_volume_inspect(Context& context, const ParsedLine& line);
Result<int> verb_volume_export(Context& context, const ParsedLine& line);
Result<int> verb_volume_import(Context& context, const ParsedLine& line);
Result<int> verb_volume_prune(Context& context, const ParsedLine& line);

// the rest
Result<int> verb_inspect(Context& context, const ParsedLine& line);
Result<int> verb_version(Context& context, const ParsedLine& line);
Result<int> verb_info(Context& context, const ParsedLine& line);
Result<int> verb_events(Context& context, const ParsedLine& line);
Result<int> verb_df(Context& context, const ParsedLine& line);
Result<int> verb_system_prune(Context& context, const ParsedLine& line);
Result<int> verb_store_check(Context& context, const ParsedLine& line);
Result<int> verb_login(Context& context, const ParsedLine& line);
Result<int> verb_logout(Context& context, const ParsedLine& line);

/// The tree that `explain` prints.
std::string explain_text(const Json& report);

/// --since and --until for the daemon: unix seconds with a fraction, from "10m", RFC 3339 or
/// itself.
Result<std::string> time_parameter(const std::string& text);

}  // namespace corten::cli
