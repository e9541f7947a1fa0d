#pragma once
// TLS over OpenSSL (library target corten_tls). TLS 1.2 and newer.
#include <http/stream.hpp>

#include <string>
#include <vector>

namespace corten::http {

struct TlsClientOptions {
    /// PEM files with certificates to trust besides, or instead of, the system's.
    std::vector<std::string> ca_files;
    bool trust_system = true;
    /// The client's own certificate (with its chain) and key; both or neither.
    std::string certificate_file;
    std::string key_file;
    /// Accepts any certificate: for registries that were declared insecure.
    bool insecure = false;
};

/// One connector serves any number of connections and threads; it keeps sessions for resumption.
Result<std::shared_ptr<const TlsConnector>> make_tls_connector(const TlsClientOptions& options);

struct TlsServerOptions {
    std::string certificate_file;
    std::string key_file;
    /// Set: clients must show a certificate that this file's authorities signed (--tlsverify).
    std::string client_ca_file;
};

Result<std::shared_ptr<const TlsAcceptor>> make_tls_acceptor(const TlsServerOptions& options);

}  // namespace corten::http
