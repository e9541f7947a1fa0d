#include <oci/image_spec.hpp>

#include <gtest/gtest.h>

namespace corten::oci {

namespace {

const std::string digest_a = "sha256:" + std::string(64, 'a');
const std::string digest_b = "sha256:" + std::string(64, 'b');

std::string manifest_text(std::string_view extra = "") {
    return fmt::format(
        R"({{"schemaVersion":2{},"config":{{"mediaType":"{}","digest":"{}","size":7}},)"
        R"("layers":[{{"mediaType":"{}","digest":"{}","size":9}}]}})",
        extra, media::docker_config, digest_a, media::docker_layer_gzip, digest_b);
}

Descriptor entry(const char* os, const char* architecture, const char* variant = "") {
    return Descriptor{
        .media_type = std::string(media::oci_manifest),
        .digest = digest_a,
        .platform = Platform{.architecture = architecture, .os = os, .variant = variant}};
}

std::string chosen(const Index& index, std::string_view wanted) {
    const auto found = choose_platform(index, parse_platform(wanted).value());
    return found ? to_string(*found->platform) : found.error().message();
}

}  // namespace

TEST(Digest, OnlySha256InLowerCase) {
    EXPECT_TRUE(check_digest(digest_a));
    EXPECT_FALSE(check_digest("sha256:" + std::string(64, 'A')));
    EXPECT_FALSE(check_digest("sha256:" + std::string(63, 'a')));
    EXPECT_FALSE(check_digest("sha256:../../../../etc/passwd"));
    EXPECT_FALSE(check_digest(std::string(64, 'a')));
    EXPECT_EQ(check_digest("sha512:" + std::string(128, 'a')).error().kind(),
              ErrorKind::unsupported);
    EXPECT_EQ(short_digest(digest_a), "aaaaaaaaaaaa");
}

TEST(Manifest, ReadsAnImage) {
    const auto parsed = parse_manifest(manifest_text(), media::docker_manifest).value();
    const auto& manifest = std::get<Manifest>(parsed);
    EXPECT_EQ(manifest.media_type, media::docker_manifest);
    EXPECT_EQ(manifest.config.size, 7);
    ASSERT_EQ(manifest.layers.size(), 1u);
    EXPECT_EQ(layer_compression(manifest.layers[0].media_type).value(), Compression::gzip);
}

TEST(Manifest, OneReadingOnly) {  // CVE-2021-41190
    EXPECT_FALSE(parse_manifest(manifest_text(R"(,"manifests":[])"), media::docker_manifest));
    EXPECT_FALSE(parse_manifest(manifest_text(), media::oci_index));
    EXPECT_FALSE(
        parse_manifest(manifest_text(fmt::format(R"(,"mediaType":"{}")", media::oci_index)), ""));
    EXPECT_FALSE(
        parse_manifest(manifest_text(fmt::format(R"(,"mediaType":"{}")", media::oci_manifest)),
                       media::docker_manifest));
    EXPECT_FALSE(parse_manifest(R"({"schemaVersion":2})", media::oci_manifest));
}

TEST(Manifest, SchemaOneIsRefusedWithASentence) {
    const auto result =
        parse_manifest(R"({"schemaVersion":1,"fsLayers":[]})", media::docker_schema1_signed);
    EXPECT_EQ(result.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(result.error().message().find("schema 1"), std::string::npos);
}

TEST(Manifest, BadMembersAreErrors) {  // CVE-2021-21285 and others
    for (const char* text :
         {"", "[]", "null", "{", R"({"schemaVersion":2,"config":{},"layers":[]})",
          R"({"schemaVersion":2,"config":null,"layers":null})",
          R"({"schemaVersion":2,"config":7,"layers":[]})",
          R"({"schemaVersion":"2","config":{},"layers":[]})"})
        EXPECT_FALSE(parse_manifest(text, media::oci_manifest)) << text;
    const std::string negative = fmt::format(
        R"({{"schemaVersion":2,"config":{{"digest":"{}","size":-1}},"layers":[]}})", digest_a);
    EXPECT_FALSE(parse_manifest(negative, ""));
}

TEST(Platform, AliasesAndDefaults) {
    EXPECT_EQ(to_string(parse_platform("linux/aarch64").value()), "linux/arm64");
    EXPECT_EQ(to_string(parse_platform("linux/arm64/v8").value()), "linux/arm64");
    EXPECT_EQ(to_string(parse_platform("linux/armhf").value()), "linux/arm");
    EXPECT_EQ(to_string(parse_platform("linux/arm/v6").value()), "linux/arm/v6");
    EXPECT_FALSE(parse_platform("linux/arm/v6/x"));
    EXPECT_FALSE(parse_platform("lin ux/arm"));
    EXPECT_FALSE(parse_platform(""));
}

TEST(Platform, TheBestEntryIsChosen) {
    Index index;
    index.manifests = {entry("linux", "386"), entry("linux", "amd64"), entry("linux", "arm", "v5"),
                       entry("linux", "arm", "v7"), entry("windows", "amd64")};
    EXPECT_EQ(chosen(index, "linux/amd64"), "linux/amd64");
    EXPECT_EQ(chosen(index, "linux/arm/v6"), "linux/arm/v5");
    EXPECT_EQ(chosen(index, "linux/arm64"), "linux/arm/v7");
    EXPECT_EQ(chosen(index, "linux/s390x"),
              "no matching manifest for linux/s390x in the manifest list entries");
}

TEST(Platform, AttestationsAreNotImages) {
    Index index;
    index.manifests = {Descriptor{.digest = digest_a}};
    index.manifests[0].annotations["vnd.docker.reference.type"] = "attestation-manifest";
    EXPECT_FALSE(choose_platform(index, host_platform()));
}

TEST(ImageConfig, DockersMembersSurviveARoundTrip) {
    const std::string text = fmt::format(
        R"({{"architecture":"amd64","os":"linux","config":{{"ExposedPorts":{{"80/tcp":{{}}}},)"
        R"("Env":["A=b"],"Cmd":["sh"],"Healthcheck":{{"Test":["CMD","true"],"Interval":1000000000}},)"
        R"("Volumes":{{"/data":{{}}}},"OnBuild":["RUN x"],"Labels":{{"a":"b"}},)"
        R"("StopSignal":"SIGINT","Shell":["/bin/bash","-c"]}},)"
        R"("rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
        digest_a);
    const auto image = parse_image(text, 1).value();
    EXPECT_EQ(dump_json(to_json(image)), text);
    EXPECT_EQ(image.config->healthcheck->interval, 1'000'000'000);
}

TEST(ImageConfig, CountsMustAgree) {
    EXPECT_EQ(parse_image(R"({"architecture":"a","os":"linux","rootfs":{"type":"layers"}})", 1)
                  .error()
                  .kind(),
              ErrorKind::corrupt);
    EXPECT_FALSE(parse_image(
        R"({"architecture":"a","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:x"]}})"));
}

TEST(Layers, MediaTypes) {
    EXPECT_EQ(layer_compression(media::oci_layer).value(), Compression::none);
    EXPECT_EQ(layer_compression(media::oci_layer_zstd).value(), Compression::zstd);
    EXPECT_FALSE(layer_compression("application/vnd.cncf.helm.chart.content.v1.tar+gzip"));
    EXPECT_FALSE(layer_compression("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"));
    EXPECT_TRUE(is_foreign_layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
}

}  // namespace corten::oci
