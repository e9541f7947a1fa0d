#include "tar.hpp"

#include "path_rules.hpp"

#include <sys/file.hpp>
#include <sys/stat.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace corten::cli {

namespace {

std::string plan(CopyEnd source, CopyEnd target) {
    const auto result = plan_copy(source, target);
    return result ? result->directory + "|" + result->name : result.error().message();
}

class Tar : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/corten-cli-tar-XXXXXX";
        root_ = ::mkdtemp(name);
        std::filesystem::create_directories(root_ + "/in/sub");
        std::filesystem::create_directories(root_ + "/out");
        std::ofstream(root_ + "/in/file") << "content";
        std::ofstream(root_ + "/in/sub/" + std::string(150, 'n')) << "long";
        std::filesystem::create_symlink("file", root_ + "/in/link");
        std::filesystem::create_hard_link(root_ + "/in/file", root_ + "/in/hard");
        ::chmod((root_ + "/in/file").c_str(), 0741);
    }
    void TearDown() override { std::filesystem::remove_all(root_); }

    Result<void> copy(const std::string& from, const std::string& name, const std::string& as) {
        auto archive = tar_of(from, name);
        if (!archive) return archive.error();
        return untar(*archive, root_ + "/out", as, {});
    }
    std::string root_;
};

}  // namespace

TEST(PathRules, AreThoseOfCp) {
    const CopyEnd file{"/s/f", true, false};
    const CopyEnd directory{"/s/d", true, true};
    const CopyEnd content{"/s/d/.", true, true};
    EXPECT_EQ(plan(file, {"/t/x", false, false}), "/t|x");
    EXPECT_EQ(plan(file, {"/t/x", true, false}), "/t|x");
    EXPECT_EQ(plan(file, {"/t/d", true, true}), "/t/d|f");
    EXPECT_EQ(plan(directory, {"/t/x", false, false}), "/t|x");
    EXPECT_EQ(plan(directory, {"/t/d", true, true}), "/t/d|d");
    EXPECT_EQ(plan(content, {"/t/d", true, true}), "/t/d|.");
    EXPECT_EQ(plan(content, {"/t/x", false, false}), "/t|x");
    EXPECT_EQ(plan(directory, {"/t/f", true, false}), "cannot copy directory");
    EXPECT_EQ(plan(file, {"/t/x/", false, false}), "destination \"/t/x/\" must be a directory");
    EXPECT_EQ(plan(file, {"/", true, true}), "/|f");
    EXPECT_EQ(plan(file, {"x", false, false}), ".|x");
}

TEST(PathRules, ContainerPathsHaveAColon) {
    EXPECT_EQ(split_container_path("web:/etc")->path, "/etc");
    EXPECT_EQ(split_container_path("web:etc")->path, "/etc");
    EXPECT_FALSE(split_container_path("./a:b").has_value());
    EXPECT_FALSE(split_container_path("/a:b").has_value());
    EXPECT_FALSE(split_container_path("a").has_value());
}

TEST_F(Tar, ATreeComesBack) {
    ASSERT_TRUE(copy(root_ + "/in", "in", "new"));
    const std::string out = root_ + "/out/new";
    EXPECT_EQ(sys::read_file(out + "/file").value(), "content");
    EXPECT_EQ(sys::read_file(out + "/sub/" + std::string(150, 'n')).value(), "long");
    EXPECT_EQ(std::filesystem::read_symlink(out + "/link"), "file");
    EXPECT_EQ(sys::stat(out + "/file").value().st_ino, sys::stat(out + "/hard").value().st_ino);
    EXPECT_EQ(sys::stat(out + "/file").value().st_mode & 07777, 0741u);
    EXPECT_EQ(sys::stat(out + "/file").value().st_mtime,
              sys::stat(root_ + "/in/file").value().st_mtime);
}

TEST_F(Tar, ContentGoesToTheTop) {
    ASSERT_TRUE(copy(root_ + "/in/.", "in", "."));
    EXPECT_EQ(sys::read_file(root_ + "/out/file").value(), "content");
    ASSERT_TRUE(copy(root_ + "/in/file", "file", "other"));
    EXPECT_EQ(sys::read_file(root_ + "/out/other").value(), "content");
}

TEST_F(Tar, NothingIsWrittenThroughSymlinks) {
    std::filesystem::create_directories(root_ + "/elsewhere");
    std::filesystem::create_directories(root_ + "/out/new");
    std::filesystem::create_symlink(root_ + "/elsewhere", root_ + "/out/new/sub");
    EXPECT_FALSE(copy(root_ + "/in", "in", "new").has_value());
    EXPECT_TRUE(std::filesystem::is_empty(root_ + "/elsewhere"));
    EXPECT_FALSE(copy(root_ + "/in/file", "../../x", "a").has_value());
}

}  // namespace corten::cli
