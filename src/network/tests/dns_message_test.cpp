#include "dns_message.hpp"

#include <arpa/nameser.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corten::network {
namespace {

using namespace std::string_literals;

/// A question after `name`, written in parts: {"web", "net"}.
std::string question(std::initializer_list<std::string> parts, char type,
                     const std::string& more = {}) {
    std::string out = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;
    if (!more.empty()) out[11] = 1;
    for (const auto& part : parts) out += static_cast<char>(part.size()) + part;
    return out + "\0\0"s + type + "\0\x01"s + more;
}

std::string opt(char high, char low) {
    return "\0\0\x29"s + high + low + "\0\0\0\0\0\0"s;
}

TEST(DnsMessage, QuestionIsRead) {
    const auto read = parse_dns_question(question({"Web", "net"}, ns_t_a));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->name, "web.net");
    EXPECT_TRUE(read->wants_addresses());
    EXPECT_TRUE(read->internet);
    EXPECT_EQ(read->end, question({"Web", "net"}, ns_t_a).size());
    EXPECT_EQ(read->datagram_limit, 512u);
}

TEST(DnsMessage, SizeOfAnswersIsTheAskersWithinBounds) {
    const auto limit = [](char high, char low) {
        return parse_dns_question(question({"x"}, ns_t_a, opt(high, low)))->datagram_limit;
    };
    EXPECT_EQ(limit(4, 0), 1024u);
    EXPECT_EQ(limit(0, 9), 512u);
    EXPECT_EQ(limit('\xff', '\xff'), 4096u);
}

TEST(DnsMessage, AddressThatIsAskedBackwards) {
    const auto reversed = [](std::initializer_list<std::string> parts) {
        return parse_dns_question(question(parts, ns_t_ptr))->reversed_address();
    };
    EXPECT_EQ(reversed({"4", "3", "2", "10", "in-addr", "arpa"}), Ipv4::parse("10.2.3.4").value());
    EXPECT_FALSE(reversed({"3", "2", "10", "in-addr", "arpa"}));
    EXPECT_FALSE(reversed({"4", "3", "2", "300", "in-addr", "arpa"}));
    EXPECT_FALSE(reversed({"4", "3", "2", "10", "ip6", "arpa"}));
}

TEST(DnsMessage, AnythingElseIsRefused) {
    const auto good = question({"x"}, ns_t_a);
    auto answer = good, two = good, update = good, looped = good;
    answer[2] |= '\x80';
    two[5] = 2;
    update[2] = '\x29';
    looped.replace(12, 3, "\xc0\x0c");
    for (const auto& bad : {""s, good.substr(0, 11), good.substr(0, good.size() - 1), good + "x",
                            answer, two, update, looped})
        EXPECT_FALSE(parse_dns_question(bad)) << testing::PrintToString(bad);
    EXPECT_EQ(dns_refusal(good.substr(0, 11), DnsRefusal::malformed), "");
    EXPECT_EQ(dns_refusal(answer, DnsRefusal::malformed), "")
        << "two servers would answer for ever";
    EXPECT_EQ(dns_refusal(two, DnsRefusal::malformed), "\x12\x34\x81\x81\0\0\0\0\0\0\0\0"s);
}

TEST(DnsMessage, AnswersCarryTheQuestionAndItsRecords) {
    const auto message = question({"web"}, ns_t_a);
    const auto asked = parse_dns_question(message).value();
    const Ipv4 addresses[] = {Ipv4::parse("10.0.0.1").value(), Ipv4::parse("10.0.0.2").value()};
    const auto answer = dns_addresses(message, asked, addresses);
    EXPECT_EQ(answer.substr(0, 12), "\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0"s);
    EXPECT_EQ(answer.substr(12, asked.end - 12), message.substr(12));
    EXPECT_EQ(answer.substr(asked.end),
              "\xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\0\0\x01"
              "\xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\0\0\x02"s);
    EXPECT_EQ(judge_dns_answer(message, answer), DnsVerdict::answered);
    EXPECT_EQ(judge_dns_answer(question({"web"}, ns_t_a).replace(0, 2, "ab"), answer),
              DnsVerdict::unrelated);
    EXPECT_EQ(judge_dns_answer(message, dns_refusal(message, DnsRefusal::server_failure)),
              DnsVerdict::failed);
    const auto pointer = dns_pointer(message, asked, "web.net");
    ASSERT_TRUE(pointer);
    EXPECT_EQ(pointer->substr(asked.end + 10), "\0\x09\x03web\x03net\0"s);
    EXPECT_FALSE(dns_pointer(message, asked, std::string(70, 'x')));
}

TEST(DnsMessage, WhatDoesNotFitIsTruncated) {
    const auto message = question({"web"}, ns_t_a);
    const auto asked = parse_dns_question(message).value();
    const std::vector<Ipv4> few(30), many(31);
    const auto fitting = dns_addresses(message, asked, few);
    ASSERT_LE(fitting.size(), 512u);
    EXPECT_EQ(dns_fitting(fitting, asked), fitting);
    const auto cut = dns_fitting(dns_addresses(message, asked, many), asked);
    EXPECT_EQ(cut, "\x12\x34\x83\x80\0\x01\0\0\0\0\0\0"s + message.substr(12));
}

}  // namespace
}  // namespace corten::network
