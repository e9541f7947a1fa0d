#include <base/text.hpp>
#include <image/credentials.hpp>

namespace corten::image {

std::string basic_authorization(std::string_view username, std::string_view password) {
    return "Basic " + base64_encode(fmt::format("{}:{}", username, password));
}

}  // namespace corten::image
