#include "table.hpp"

#include "exit_code.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

const ListFormat& format() {
    static const ListFormat value{
        .table = "{{.ID}}\t{{.Image}}\t{{.Names}}",
        .headers = {{"ID", "CONTAINER ID"}, {"Image", "IMAGE"}, {"Names", "NAMES"}},
        .raw = "container_id: {{.ID}}\nnames: {{.Names}}\n"};
    return value;
}
const std::vector<Json>& rows() {
    static const std::vector<Json> value = {
        {{"ID", "526999bc5289"}, {"Image", "clibox:1"}, {"Names", "cli-a"}},
        {{"ID", "1"}, {"Image", "a/much/longer:name"}, {"Names", "x,y"}}};
    return value;
}
std::string render(std::string text, bool quiet = false) {
    ListFormat wanted = format();
    wanted.format = std::move(text);
    wanted.quiet = quiet;
    return render_list(wanted, rows()).value();
}

}  // namespace

TEST(Table, ColumnsAreAligned) {
    EXPECT_EQ(render(""),
              "CONTAINER ID   IMAGE                NAMES\n"
              "526999bc5289   clibox:1             cli-a\n"
              "1              a/much/longer:name   x,y\n");
}

TEST(Table, ColumnsHaveALeastWidth) {
    EXPECT_EQ(align_columns("A\tB\tC\n1\t2\t3\n"),
              "A         B         C\n1         2         3\n");
}

TEST(Table, Formats) {
    EXPECT_EQ(render("", true), "526999bc5289\n1\n");
    EXPECT_EQ(render("{{.Names}}"), "cli-a\nx,y\n");
    EXPECT_EQ(render("table {{.Names}}\\t{{.ID}}"),
              "NAMES     CONTAINER ID\ncli-a     526999bc5289\nx,y       1\n");
    EXPECT_EQ(render("table {{.Names}}", true), "526999bc5289\n1\n");
    EXPECT_EQ(render("raw"),
              "container_id: 526999bc5289\nnames: cli-a\n\n"
              "container_id: 1\nnames: x,y\n\n");
    EXPECT_EQ(render("raw", true), "container_id: 526999bc5289\ncontainer_id: 1\n");
    EXPECT_EQ(render("json").substr(0, 22), "{\"ID\":\"526999bc5289\",\"");
}

TEST(Table, ErrorsSayWhatIsWrong) {
    ListFormat wanted = format();
    wanted.format = "{{.Foo}}";
    const auto result = render_list(wanted, rows());
    EXPECT_TRUE(result.error().message().starts_with("failed to execute template: template: :1:2"));
    wanted.format = "{{";
    EXPECT_EQ(render_list(wanted, rows()).error().message(),
              "failed to parse template: template: :1: unclosed action");
}

TEST(Table, EllipsisCountsCharacters) {
    EXPECT_EQ(ellipsis("\"sleep 1000\"", 20), "\"sleep 1000\"");
    EXPECT_EQ(ellipsis("abcdef", 4), "abc…");
    EXPECT_EQ(ellipsis("ääää", 4), "ääää");
    EXPECT_EQ(ellipsis("äääää", 4), "äää…");
}

TEST(ExitCode, FollowsTheMessage) {
    EXPECT_EQ(exit_code_of_failure("exec: \"x\": executable file not found in $PATH"), 127);
    EXPECT_EQ(exit_code_of_failure("exec /x: no such file or directory"), 127);
    EXPECT_EQ(exit_code_of_failure("exec /x: permission denied"), 126);
    EXPECT_EQ(exit_code_of_failure("Conflict. The name is in use"), 125);
}

}  // namespace corten::cli
