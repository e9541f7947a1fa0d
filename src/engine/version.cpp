#include <engine/version.hpp>

namespace corten::engine {

constinit const std::string_view version_text = CORTEN_VERSION;
constinit const std::string_view source_commit = CORTEN_COMMIT;

}  // namespace corten::engine
