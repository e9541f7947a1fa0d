#pragma once
// The log that containerd, conmon and dockerd read: logrus' text or JSON lines.
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::runtime_cli {

enum class LogFormat { text, json };

/// An empty path is standard error. The file is appended to.
Result<void> open_log(const std::string& path, LogFormat format, bool debug);
void log_debug(std::string_view message);
void log_warning(std::string_view message);
/// Writes it to the log, and to standard error too when the log is a file.
void log_fatal(std::string_view message);

}  // namespace corten::runtime_cli
