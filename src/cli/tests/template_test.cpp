#include "template.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

const Json& data() {
    static const Json json = parse_json(R"({
        "Id": "abc", "State": {"Pid": 42, "Running": true, "ExitCode": 0, "Health": null},
        "Config": {"Labels": {"b": "2", "a": "1"}, "Env": ["X=1", "Y=2"], "Volumes": null},
        "Mounts": [{"Source": "/s", "Destination": "/d"}, {"Source": "/t", "Destination": "/e"}],
        "ExecIDs": null, "HostConfig": {"PidsLimit": null, "Cpus": 1.5}, "Name": "/web one"})",
                                        "test")
                                 .value();
    return json;
}

std::string run(std::string_view text) {
    const auto parsed = Template::parse(text);
    if (!parsed) return "PARSE " + parsed.error().message();
    const auto out = parsed->execute(data());
    return out ? *out : "ERROR " + out.error().message();
}

}  // namespace

TEST(Template, FieldsAndText) {
    EXPECT_EQ(run("pid {{.State.Pid}}!"), "pid 42!");
    EXPECT_EQ(run("{{ .Id }}{{.ID}}"), "abcabc");
    EXPECT_EQ(run("{{.State.Running}} {{.HostConfig.Cpus}}"), "true 1.5");
    EXPECT_EQ(run("{{(index .Mounts 1).Source}}"), "/t");
}

TEST(Template, PrintsAsGoDoes) {
    EXPECT_EQ(run("{{.Config.Labels}} {{.Config.Env}}"), "map[a:1 b:2] [X=1 Y=2]");
    EXPECT_EQ(run("{{.ExecIDs}} {{.Config.Volumes}} {{.HostConfig.PidsLimit}}"), "[] map[] <nil>");
    EXPECT_EQ(run("{{json .Config.Labels}}"), R"({"b":"2","a":"1"})");
}

TEST(Template, RangeIfWith) {
    EXPECT_EQ(run("{{range .Mounts}}{{.Source}}->{{.Destination}};{{end}}"), "/s->/d;/t->/e;");
    EXPECT_EQ(run("{{range $i, $m := .Mounts}}{{$i}}={{$m.Source}} {{end}}"), "0=/s 1=/t ");
    EXPECT_EQ(run("{{range $k, $v := .Config.Labels}}{{$k}}{{$v}}{{$.Id}} {{end}}"),
              "a1abc b2abc ");
    EXPECT_EQ(run("{{range .ExecIDs}}x{{else}}none{{end}}"), "none");
    EXPECT_EQ(run("{{range .Config.Env}}{{.}}{{break}}{{end}}"), "X=1");
    EXPECT_EQ(run("{{if .State.Health}}yes{{else if .State.Running}}up{{else}}no{{end}}"), "up");
    EXPECT_EQ(run("{{with .Config}}{{.Env}}{{end}}"), "[X=1 Y=2]");
    EXPECT_EQ(run("{{if .State.Nothing}}a{{else}}b{{end}}"), "b");
}

TEST(Template, Functions) {
    EXPECT_EQ(run("{{upper .Id}} {{.Id | upper | lower}} {{title \"a bc\"}}"), "ABC abc A Bc");
    EXPECT_EQ(run("{{join .Config.Env \",\"}} {{index (split \"a:b\" \":\") 1}}"), "X=1,Y=2 b");
    EXPECT_EQ(run("{{len .Mounts}} {{index .Config.Labels \"a\"}}{{index .Config.Labels \"z\"}}"),
              "2 1");
    EXPECT_EQ(run("{{printf \"%5d|%-4s|%q|%v\" .State.Pid .Id .Id true}}"),
              "   42|abc |\"abc\"|true");
    EXPECT_EQ(run("{{slice .Id 0 2}} {{truncate .Id 1}} {{pad .Id 1 1}}|"), "ab a  abc |");
    EXPECT_EQ(run("{{and .Id .State.Running}} {{or .ExecIDs \"x\"}} {{not .ExecIDs}}"),
              "true x true");
    EXPECT_EQ(run("{{if eq .State.ExitCode 0}}ok{{end}}{{if gt .State.Pid 41}}!{{end}}"), "ok!");
    EXPECT_EQ(run("{{println \"a\" 1}}"), "a 1\n");
}

TEST(Template, VariablesAndTrimming) {
    EXPECT_EQ(run("{{$x := .Id}}{{$x}}{{$x = \"new\"}}{{$x}}"), "abcnew");
    EXPECT_EQ(run("a  {{- /* none */ -}}  b {{- .Id -}} \n c"), "ababcc");
}

TEST(Template, Errors) {
    EXPECT_EQ(run("{{"), "PARSE template: :1: unclosed action");
    EXPECT_EQ(run("{{.A"), "PARSE template: :1: unclosed action");
    EXPECT_EQ(run("{{nope .A}}"), "PARSE template: :1: function \"nope\" not defined");
    EXPECT_EQ(run("{{if .A}}x"), "PARSE template: :1: unexpected EOF");
    EXPECT_EQ(run("{{end}}"), "PARSE template: :1: unexpected {{end}}");
    EXPECT_EQ(run("{{.State.Foo}}"),
              "ERROR template: :1:2: executing \"\" at <.State.Foo>: "
              "map has no entry for key \"Foo\"");
    EXPECT_NE(run("{{.Foo.Bar}}").find("ERROR"), std::string::npos);
    EXPECT_NE(run("{{.State.Health.Status}}").find("nil pointer"), std::string::npos);
}

TEST(Template, LabelsOfListContexts) {
    Json row = {{"ID", "x"}};
    row[labels_member] = {{"a", "b"}};
    const auto parsed = Template::parse("{{.Label \"a\"}}|{{.Label \"z\"}}|{{json .}}").value();
    EXPECT_EQ(parsed.execute(row).value(), "b||{\"ID\":\"x\"}");
}

}  // namespace corten::cli
