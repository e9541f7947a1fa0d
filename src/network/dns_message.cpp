#include "dns_message.hpp"

#include <base/text.hpp>

#include <arpa/nameser.h>
#include <resolv.h>

#include <algorithm>
#include <array>

namespace corten::network {

namespace {

constexpr std::uint32_t time_to_live = 600;  // seconds, as docker's server says
constexpr std::string_view reverse_suffix = ".in-addr.arpa";
constexpr char flag_answer = '\x80', flag_truncated = '\x02';           // in the third byte
constexpr char flag_recursion_available = '\x80', rcode_mask = '\x0f';  // in the fourth
constexpr char opcode_and_recursion_desired = '\x79';                   // kept from a question
constexpr std::string_view pointer_to_question = "\xc0\x0c";            // its name, at byte 12

const unsigned char* bytes_of(std::string_view message) {
    return reinterpret_cast<const unsigned char*>(message.data());
}

void put16(std::string& out, std::size_t value) {
    out += static_cast<char>(value >> 8 & 0xff);
    out += static_cast<char>(value & 0xff);
}

void put32(std::string& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}

bool is_answer(std::string_view message) {
    return (message[2] & flag_answer) != 0;
}

/// The size that an OPT record offers, in its class.
std::size_t datagram_limit_of(ns_msg& handle) {
    std::size_t limit = NS_PACKETSZ;
    for (int i = 0; i < ns_msg_count(handle, ns_s_ar); ++i) {
        ns_rr record;
        if (ns_parserr(&handle, ns_s_ar, i, &record) < 0) break;
        if (ns_rr_type(record) == ns_t_opt) limit = ns_rr_class(record);
    }
    return std::clamp<std::size_t>(limit, NS_PACKETSZ, 4096);
}

/// Header and question of an answer with so many records.
std::string begin_answer(std::string_view message, std::size_t end, std::size_t records) {
    std::string out(message.substr(0, 2));
    out += static_cast<char>(flag_answer | (message[2] & opcode_and_recursion_desired));
    out += flag_recursion_available;
    put16(out, 1);
    put16(out, records);
    put32(out, 0);  // neither authorities nor additional records
    out += message.substr(NS_HFIXEDSZ, end - NS_HFIXEDSZ);
    return out;
}

void put_record(std::string& out, std::uint16_t type, std::string_view data) {
    out += pointer_to_question;
    put16(out, type);
    put16(out, ns_c_in);
    put32(out, time_to_live);
    put16(out, data.size());
    out += data;
}

}  // namespace

bool DnsQuestion::wants_addresses() const {
    return type == ns_t_a;
}

bool DnsQuestion::wants_pointer() const {
    return type == ns_t_ptr;
}

std::optional<Ipv4> DnsQuestion::reversed_address() const {
    if (!name.ends_with(reverse_suffix)) return std::nullopt;
    auto parts = split(std::string_view(name).substr(0, name.size() - reverse_suffix.size()), '.');
    std::ranges::reverse(parts);
    const auto address = Ipv4::parse(join(parts, "."));
    return address ? std::optional(*address) : std::nullopt;
}

Result<DnsQuestion> parse_dns_question(std::string_view message) {
    ns_msg handle;
    if (message.size() > NS_MAXMSG || message.size() < NS_HFIXEDSZ ||
        ns_initparse(bytes_of(message), static_cast<int>(message.size()), &handle) < 0)
        return fail(ErrorKind::invalid, "not a message of the domain name system");
    if (is_answer(message) || ns_msg_getflag(handle, ns_f_opcode) != ns_o_query ||
        ns_msg_count(handle, ns_s_qd) != 1)
        return fail(ErrorKind::invalid, "not one question");
    ns_rr record;
    if (ns_parserr(&handle, ns_s_qd, 0, &record) < 0)
        return fail(ErrorKind::invalid, "a question that cannot be read");
    const auto* begin = bytes_of(message);
    const int name_size = dn_skipname(begin + NS_HFIXEDSZ, begin + message.size());
    if (name_size < 0) return fail(ErrorKind::invalid, "a name that does not end");
    DnsQuestion question;
    question.name = to_lower(ns_rr_name(record));
    question.type = static_cast<std::uint16_t>(ns_rr_type(record));
    question.internet = ns_rr_class(record) == ns_c_in;
    question.end = NS_HFIXEDSZ + static_cast<std::size_t>(name_size) + NS_QFIXEDSZ;
    question.datagram_limit = datagram_limit_of(handle);
    return question;
}

std::string dns_addresses(std::string_view message, const DnsQuestion& question,
                          std::span<const Ipv4> addresses) {
    std::string out = begin_answer(message, question.end, addresses.size());
    for (const Ipv4 address : addresses) {
        std::string data;
        put32(data, address.value);
        put_record(out, ns_t_a, data);
    }
    return out;
}

Result<std::string> dns_pointer(std::string_view message, const DnsQuestion& question,
                                const std::string& name) {
    std::array<unsigned char, NS_MAXCDNAME> encoded{};
    const int size =
        dn_comp(name.c_str(), encoded.data(), static_cast<int>(encoded.size()), nullptr, nullptr);
    if (size < 0) return fail(ErrorKind::invalid, "\"{}\" is no domain name", name);
    std::string out = begin_answer(message, question.end, 1);
    put_record(out, ns_t_ptr,
               {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(size)});
    return out;
}

std::string dns_refusal(std::string_view message, DnsRefusal refusal) {
    if (message.size() < NS_HFIXEDSZ || is_answer(message)) return {};
    std::string out(message.substr(0, 2));
    out += static_cast<char>(flag_answer | (message[2] & opcode_and_recursion_desired));
    out += static_cast<char>(flag_recursion_available | static_cast<char>(refusal));
    out.append(NS_HFIXEDSZ - out.size(), '\0');  // no question, no records
    return out;
}

std::string dns_fitting(std::string answer, const DnsQuestion& question) {
    if (answer.size() <= question.datagram_limit) return answer;
    std::string out = begin_answer(answer, question.end, 0);
    out[2] |= flag_truncated;
    return out;
}

std::string dns_framed(std::string_view message) {
    std::string out;
    put16(out, message.size());
    out += message;
    return out;
}

std::optional<std::string> take_dns_message(std::string& stream) {
    constexpr std::size_t length_size = 2;
    if (stream.size() < length_size) return std::nullopt;
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(stream[0]) << 8 |
                                               static_cast<unsigned char>(stream[1]));
    if (stream.size() < length_size + size) return std::nullopt;
    std::string message = stream.substr(length_size, size);
    stream.erase(0, length_size + size);
    return message;
}

DnsVerdict judge_dns_answer(std::string_view question, std::string_view answer) {
    if (answer.size() < NS_HFIXEDSZ || !is_answer(answer) ||
        answer.substr(0, 2) != question.substr(0, 2))
        return DnsVerdict::unrelated;
    const int code = answer[3] & rcode_mask;
    return code == ns_r_servfail || code == ns_r_refused ? DnsVerdict::failed
                                                         : DnsVerdict::answered;
}

}  // namespace corten::network
