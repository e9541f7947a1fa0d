// What a container sends to its name server, and what the server says to it.
#include "fuzz.hpp"

#include <dns_message.hpp>

#include <array>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace corten::network;
    const auto message = corten::text_of(data, size);
    const auto refusal = dns_refusal(message, DnsRefusal::malformed);
    const auto question = parse_dns_question(message);
    judge_dns_answer(message, refusal);
    if (!question) return 0;
    const std::array<Ipv4, 40> addresses{};
    const auto answer = dns_fitting(dns_addresses(message, *question, addresses), *question);
    if (answer.size() > question->datagram_limit) __builtin_trap();
    dns_pointer(message, *question, question->name).ignore();
    (void)question->reversed_address();
    return 0;
}
