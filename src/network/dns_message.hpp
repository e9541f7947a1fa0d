#pragma once
// Questions and answers of the domain name system, as far as a container's name server has to
// understand them; what it passes on goes as it came. Pure; read with the C library's parser.
// Format: RFC 1035, EDNS's size of answers RFC 6891.
#include <network/address.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace corten::network {

struct DnsQuestion {
    std::string name;  ///< lower case, without the last dot
    std::uint16_t type = 0;
    bool internet = true;            ///< of class IN; nobody asks for others
    std::size_t end = 0;             ///< where the question ends in its message
    std::size_t datagram_limit = 0;  ///< bytes that the asker takes in one, 512 to 4096

    bool wants_addresses() const;
    bool wants_pointer() const;
    /// Of "4.3.2.10.in-addr.arpa".
    std::optional<Ipv4> reversed_address() const;
};

/// What answers a message that asks nothing, or not just one thing, or is malformed.
enum class DnsRefusal : std::uint8_t { malformed = 1, server_failure = 2 };

/// invalid when the message is not one question.
Result<DnsQuestion> parse_dns_question(std::string_view message);

/// Answers to `message`, whose question is `question`. No address at all says that the name has no
/// record of the type it was asked for.
std::string dns_addresses(std::string_view message, const DnsQuestion& question,
                          std::span<const Ipv4> addresses);
/// invalid when `name` cannot be written as a domain name.
Result<std::string> dns_pointer(std::string_view message, const DnsQuestion& question,
                                const std::string& name);
/// Empty for what is too short to be answered, and for what is itself an answer.
std::string dns_refusal(std::string_view message, DnsRefusal refusal);
/// An answer that has to fit: when it does not, only its question, marked as truncated, after which
/// the asker comes back over a stream.
std::string dns_fitting(std::string answer, const DnsQuestion& question);

/// As a message goes over a stream: after its length in two bytes (RFC 1035, 4.2.2).
std::string dns_framed(std::string_view message);
/// Takes the first whole message out of what has come of a stream; nullopt while there is none.
std::optional<std::string> take_dns_message(std::string& stream);

/// The longest that a message can be, in bytes.
inline constexpr std::size_t longest_dns_message = 65535;

/// Whether this answers that question, and not with the failure of the server which was asked.
enum class DnsVerdict : std::uint8_t { unrelated, failed, answered };
DnsVerdict judge_dns_answer(std::string_view question, std::string_view answer);

}  // namespace corten::network
