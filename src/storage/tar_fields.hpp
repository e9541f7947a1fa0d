#pragma once
// The fields of tar headers and pax records, as text and numbers.
#include <base/result.hpp>
#include <storage/tar.hpp>

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::storage::tar_fields {

constexpr std::size_t block_size = 512;
/// What one pax header, GNU long name or pax 1.0 sparse map may take, as in Go's archive/tar.
constexpr std::uint64_t extension_limit = 1 << 20;

struct Field {
    std::size_t offset;
    std::size_t length;
};
// POSIX.1-1988 ustar header; the GNU fields that share its tail follow.
namespace header {
constexpr Field name{0, 100}, mode{100, 8}, uid{108, 8}, gid{116, 8}, size{124, 12}, mtime{136, 12},
    checksum{148, 8}, link{157, 100}, magic{257, 8}, user{265, 32}, group{297, 32},
    device_major{329, 8}, device_minor{337, 8}, prefix{345, 155};
}  // namespace header
constexpr std::size_t type_offset = 156;
constexpr Field star_prefix{345, 131}, star_trailer{508, 4};
constexpr std::size_t gnu_sparse_offset = 386, gnu_sparse_entries = 4, gnu_extended_offset = 482,
                      gnu_extension_entries = 21, gnu_extension_flag = 504;
constexpr Field gnu_real_size{483, 12};

inline std::string_view bytes_of(const char* block, Field field) {
    return {block + field.offset, field.length};
}
/// Up to the first NUL.
std::string_view text_of(const char* block, Field field);
/// Octal, or base-256 when the first bit is set (GNU). Empty is 0.
Result<std::int64_t> number_of(const char* block, Field field);
Result<std::int64_t> number(std::string_view bytes);
bool is_zero(const char* block);
bool checksum_matches(const char* block);
std::uint64_t computed_checksum(const char* block);

/// What extension headers said about the entry that follows them.
struct Extensions {
    std::map<std::string, std::string, std::less<>> records;  ///< but those that are below
    std::vector<std::pair<std::string, std::string>> xattrs;
    std::vector<std::string> sparse_pairs;  ///< GNU.sparse.offset and .numbytes, in turn
    std::optional<std::string> gnu_name;
    std::optional<std::string> gnu_link;
    std::optional<std::string_view> find(std::string_view key) const;
};

/// Adds the records "LEN KEY=VALUE\n" of a pax header; an empty value takes a record back.
Result<void> parse_pax(std::string_view text, Extensions& out);
/// "1700000000.25", also negative, truncated to nanoseconds.
Result<timespec> parse_pax_time(std::string_view text);
Result<std::uint64_t> parse_unsigned(std::string_view text);
void append_pax(std::string& out, std::string_view key, std::string_view value);

}  // namespace corten::storage::tar_fields
