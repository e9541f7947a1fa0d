#include <sys/mountinfo.hpp>

namespace corten::sys {

std::string mountinfo_unescaped(std::string_view text) {
    std::string out;
    for (; !text.empty(); text.remove_prefix(1)) {
        const auto digits = text.substr(1, 3);
        const bool octal = text[0] == '\\' && digits.size() == 3 &&
                           digits.find_first_not_of("01234567") == digits.npos;
        if (!octal) {
            out += text[0];
            continue;
        }
        out += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0');
        text.remove_prefix(digits.size());
    }
    return out;
}

}  // namespace corten::sys
