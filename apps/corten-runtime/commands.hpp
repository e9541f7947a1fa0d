#pragma once
// One function per command; each returns the exit code of the program.
#include "options.hpp"

#include <base/result.hpp>

#include <string>
#include <vector>

namespace corten::runtime_cli {

Result<int> create(const Global& global, const CreateOptions& options);
Result<int> run(const Global& global, const CreateOptions& options);
Result<int> start(const Global& global, const std::string& id);
Result<int> exec(const Global& global, const ExecOptions& options);
Result<int> kill(const Global& global, const std::string& id, const std::string& signal, bool all);
Result<int> remove(const Global& global, const std::string& id, bool force);
Result<int> pause(const Global& global, const std::string& id);
Result<int> resume(const Global& global, const std::string& id);
Result<int> state(const Global& global, const std::string& id);
Result<int> list(const Global& global, const std::string& format, bool quiet);
Result<int> processes(const Global& global, const std::string& id, const std::string& format,
                      const std::vector<std::string>& ps_options);
Result<int> update(const Global& global, const UpdateOptions& options);
Result<int> events(const Global& global, const std::string& id, bool stats,
                   const std::string& interval);
Result<int> make_spec(const std::string& bundle, bool rootless);
Result<int> features();
Result<int> checkpoint(const Global& global, const CheckpointOptions& options);
Result<int> restore(const Global& global, const RestoreOptions& options);

}  // namespace corten::runtime_cli
