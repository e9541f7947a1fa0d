#include <sys/file.hpp>
#include <sys/remove.hpp>
#include <sys/resource.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <stop_token>
#include <thread>

namespace corten::sys {

class FileTest : public testing::Test {
protected:
    FileTest() {
        char name[] = "/tmp/corten-file-test.XXXXXX";
        root = ::mkdtemp(name);
    }
    ~FileTest() override { remove_tree(root).ignore(); }
    std::string root;
};

TEST_F(FileTest, OpenInRootNeverLeavesTheRoot) {
    ASSERT_TRUE(make_directories(root + "/jail/etc").has_value());
    ASSERT_TRUE(write_file_atomic(root + "/secret", "outside").has_value());
    ASSERT_TRUE(write_file_atomic(root + "/jail/secret", "inside").has_value());
    ASSERT_EQ(::symlink("../../../../secret", (root + "/jail/up").c_str()), 0);
    ASSERT_EQ(::symlink("/secret", (root + "/jail/absolute").c_str()), 0);
    const Fd jail = open(root + "/jail", O_PATH | O_DIRECTORY).value();
    for (const char* path : {"../secret", "up", "absolute", "etc/../../../secret"}) {
        const auto fd = open_in_root(jail, path, O_RDONLY);
        ASSERT_TRUE(fd.has_value()) << path;
        EXPECT_EQ(read_all(*fd).value(), "inside") << path;
    }
}

TEST_F(FileTest, RemoveTreeDoesNotFollowSymlinks) {
    ASSERT_TRUE(make_directories(root + "/keep/me").has_value());
    ASSERT_TRUE(make_directories(root + "/gone/deep").has_value());
    ASSERT_EQ(::symlink((root + "/keep").c_str(), (root + "/gone/deep/link").c_str()), 0);
    ASSERT_TRUE(remove_tree(root + "/gone").has_value());
    EXPECT_FALSE(exists(root + "/gone"));
    EXPECT_TRUE(exists(root + "/keep/me"));
}

TEST_F(FileTest, RemoveTreeOfADepthTakesFewDescriptors) {
    constexpr int depth = 1'500;
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit few{64, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    ASSERT_TRUE(make_directories(root + "/deep").has_value());
    Fd at = open(root + "/deep", O_RDONLY | O_DIRECTORY).value();
    for (int level = 0; level < depth; ++level) {
        ASSERT_EQ(::mkdirat(at.raw(), "d", 0700), 0);
        at = open_at(at, "d", O_RDONLY | O_DIRECTORY).value();
    }
    ASSERT_EQ(::mkdirat(at.raw(), "leaf", 0700), 0);
    const auto removed = remove_tree(root + "/deep");
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_TRUE(removed.has_value()) << removed.error().message();
    EXPECT_FALSE(exists(root + "/deep"));
}

TEST_F(FileTest, ARemovalStopsBetweenEntries) {
    for (int i = 0; i < 400; ++i)
        ASSERT_TRUE(make_directories(fmt::format("{}/many/{}/x", root, i)).has_value());
    const Fd directory = open(root, O_RDONLY | O_DIRECTORY).value();
    std::stop_source stop;
    Result<void> removed;
    std::jthread remover([&] { removed = remove_at(directory, "many", stop.get_token()); });
    while (list_directory(root + "/many").value().size() == 400) std::this_thread::yield();
    stop.request_stop();
    remover.join();
    ASSERT_FALSE(removed.has_value());
    EXPECT_EQ(removed.error().kind(), ErrorKind::cancelled);
    EXPECT_FALSE(list_directory(root + "/many").value().empty());
    EXPECT_TRUE(remove_at(directory, "many").has_value());
    EXPECT_FALSE(exists(root + "/many"));
}

TEST_F(FileTest, RemoveTreeOfNothing) {
    EXPECT_TRUE(remove_tree(root + "/nothing").has_value());
    EXPECT_TRUE(remove_tree(root + "/no/such/parent").has_value());
    EXPECT_FALSE(remove_tree("/proc/self/task").has_value());
}

TEST_F(FileTest, AtomicWriteReplacesAndLeavesNoTemporary) {
    const std::string path = root + "/state";
    ASSERT_TRUE(write_file_atomic(path, "one").has_value());
    ASSERT_TRUE(write_file_atomic(path, "two", 0600, Durability::survives_power).has_value());
    EXPECT_EQ(read_file(path).value(), "two");
    EXPECT_EQ(list_directory(root).value().size(), 1u);
}

TEST_F(FileTest, ReadFileIsBounded) {
    ASSERT_TRUE(write_file_atomic(root + "/big", std::string(100, 'x')).has_value());
    EXPECT_EQ(read_file(root + "/big", 10).error().kind(), ErrorKind::invalid);
    EXPECT_EQ(read_file(root + "/none").error().kind(), ErrorKind::not_found);
}

}  // namespace corten::sys
