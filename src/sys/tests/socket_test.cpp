#include <sys/socket.hpp>

#include <gtest/gtest.h>

namespace corten::sys {

TEST(Message, OneThatIsTooLargeIsSkipped) {
    auto [ours, theirs] = socket_pair(SocketType::seqpacket).value();
    ASSERT_TRUE(try_send_message(theirs, std::string(200, 'x'), {}).has_value());
    ASSERT_TRUE(try_send_message(theirs, "next", {}).has_value());
    const auto large = receive_message(ours, 100);
    ASSERT_FALSE(large.has_value());
    EXPECT_EQ(large.error().kind(), ErrorKind::invalid);
    EXPECT_EQ(receive_message(ours, 100).value().bytes, "next");
}

}  // namespace corten::sys
