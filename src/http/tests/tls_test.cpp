#include "fixture.hpp"

#include <http/tls.hpp>

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>

namespace corten::http {
namespace {

using namespace std::chrono_literals;

/// A self-signed certificate for localhost, made anew for each run.
struct Identity {
    Identity() {
        char pattern[] = "/tmp/corten-tls-XXXXXX";
        directory = ::mkdtemp(pattern);
        EVP_PKEY* key = ::EVP_EC_gen("P-256");
        X509* certificate = ::X509_new();
        ::X509_set_version(certificate, 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
        ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);
        ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
        ::X509_set_pubkey(certificate, key);
        X509_NAME* name = ::X509_get_subject_name(certificate);
        ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                     reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
        ::X509_set_issuer_name(certificate, name);
        X509_EXTENSION* names =
            ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
        ::X509_add_ext(certificate, names, -1);
        ::X509_sign(certificate, key, ::EVP_sha256());
        write(cert(), [&](FILE* file) { ::PEM_write_X509(file, certificate); });
        write(key_path(), [&](FILE* file) {
            ::PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
        });
        ::X509_EXTENSION_free(names);
        ::X509_free(certificate);
        ::EVP_PKEY_free(key);
    }
    ~Identity() { std::filesystem::remove_all(directory); }

    std::string cert() const { return directory + "/cert.pem"; }
    std::string key_path() const { return directory + "/key.pem"; }
    static void write(const std::string& path, const std::function<void(FILE*)>& content) {
        FILE* file = std::fopen(path.c_str(), "w");
        content(file);
        std::fclose(file);
    }
    std::string directory;
};

class Tls : public testing::Test {
protected:
    std::shared_ptr<const TlsAcceptor> acceptor(bool verify_clients = false) {
        return *make_tls_acceptor({.certificate_file = id.cert(),
                                   .key_file = id.key_path(),
                                   .client_ca_file = verify_clients ? id.cert() : ""});
    }
    static Endpoint endpoint(const RunningServer& server, const TlsClientOptions& options) {
        Endpoint endpoint = server.endpoint();
        endpoint.host = "localhost";
        endpoint.tls = *make_tls_connector(options);
        return endpoint;
    }
    Identity id;
};

TEST_F(Tls, TrustsNamedAuthoritiesOnly) {
    RunningServer server(echo, {}, acceptor());
    auto trusting =
        Connection::open(endpoint(server, {.ca_files = {id.cert()}, .trust_system = false}));
    ASSERT_TRUE(trusting.has_value()) << trusting.error().message();
    EXPECT_EQ(*(*trusting)->send({.method = "POST", .target = "/", .body = "x"})->read_all(),
              "POST / x");
    EXPECT_TRUE((*trusting)->reusable());
    auto doubting = Connection::open(endpoint(server, {}));
    ASSERT_FALSE(doubting.has_value());
    EXPECT_THAT(doubting.error().message(), testing::HasSubstr("failed to verify certificate"));
    EXPECT_TRUE(Connection::open(endpoint(server, {.insecure = true})).has_value());
    Endpoint other_name = endpoint(server, {.ca_files = {id.cert()}});
    other_name.host = "127.0.0.1";
    EXPECT_FALSE(Connection::open(other_name).has_value());
}

TEST_F(Tls, WantsTheClientsCertificate) {
    RunningServer server(echo, {}, acceptor(true));
    auto known = Connection::open(endpoint(
        server,
        {.ca_files = {id.cert()}, .certificate_file = id.cert(), .key_file = id.key_path()}));
    EXPECT_TRUE((*known)->send({}).has_value());
    // TLS 1.3 tells the client only with the first read.
    auto stranger = Connection::open(endpoint(server, {.ca_files = {id.cert()}}));
    if (stranger.has_value()) EXPECT_FALSE((*stranger)->send({}).has_value());
}

TEST_F(Tls, MovesLargeBodies) {
    RunningServer server(
        [](Request&, ResponseWriter& answer) {
            answer.send(200, std::string(16 << 20, 'y')).ignore();
        },
        {}, acceptor());
    auto connection = *Connection::open(endpoint(server, {.insecure = true}));
    EXPECT_EQ(connection->send({})->read_all()->size(), 16U << 20);
}

TEST_F(Tls, HijackedStreamsArePumpedWithoutDeadlock) {
    RunningServer server(
        [](Request&, ResponseWriter& answer) {
            auto taken = answer.hijack("HTTP/1.1 101 UPGRADED\r\n\r\n");
            ASSERT_TRUE(taken.has_value());
            auto stream = make_socket_stream(std::move(taken->socket));
            std::vector<char> buffer(64 << 10);
            while (const auto got = *stream->read(buffer))
                stream->write({buffer.data(), got}).ignore();
        },
        {}, acceptor());
    auto connection = *Connection::open(endpoint(server, {.insecure = true}));
    EXPECT_EQ(connection->send({})->status, 101);
    auto stream = std::move(connection->take_stream()->stream);
    // 8 MiB there and back, more than all buffers on the way hold.
    const std::string block(64 << 10, 'b');
    std::size_t sent = 0;
    std::size_t received = 0;
    std::vector<char> buffer(64 << 10);
    bool ended = false;
    while (!ended) {
        std::string_view part = block;
        if (sent < 128 * block.size()) {
            part = part.substr(sent % block.size());
            const auto step = stream->try_write({&part, 1});
            ASSERT_TRUE(step.has_value()) << step.error().message();
            sent += step->bytes;
            if (sent == 128 * block.size()) ASSERT_TRUE(stream->shutdown_write().has_value());
        }
        const auto step = stream->try_read(buffer);
        ASSERT_TRUE(step.has_value()) << step.error().message() << " after " << received;
        received += step->bytes;
        ended = step->kind == Step::end;
    }
    EXPECT_EQ(received, 128 * block.size());
}

}  // namespace
}  // namespace corten::http
