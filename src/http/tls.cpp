#include <http/tls.hpp>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <mutex>

namespace corten::http {

namespace {

struct FreeSsl {
    void operator()(SSL* p) const { ::SSL_free(p); }
    void operator()(SSL_CTX* p) const { ::SSL_CTX_free(p); }
};
using Ssl = std::unique_ptr<SSL, FreeSsl>;
using Context = std::unique_ptr<SSL_CTX, FreeSsl>;

/// The oldest error of this thread's OpenSSL queue, which is emptied.
std::string openssl_reason() {
    const auto code = ::ERR_get_error();
    ::ERR_clear_error();
    if (code == 0) return "connection closed";
    const char* reason = ::ERR_reason_error_string(code);
    return reason ? reason : fmt::format("error {:x}", code);
}

/// An alert is the peer's last word: asking again would get the same.
Error tls_error(std::string_view what) {
    const auto code = ::ERR_peek_error();
    const bool alert =
        ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
    return fail(alert ? ErrorKind::forbidden : ErrorKind::unavailable, "tls: {}: {}", what,
                openssl_reason());
}

// A BIO over a socket that neither waits nor raises SIGPIPE. OpenSSL's own socket BIO does both
// unless the socket is switched to O_NONBLOCK, which other holders of the descriptor would notice.

int bio_descriptor(BIO* bio) {
    return static_cast<int>(reinterpret_cast<std::intptr_t>(::BIO_get_data(bio)));
}

int bio_finish(BIO* bio, ssize_t moved, int retry_flag) {
    ::BIO_clear_retry_flags(bio);
    if (moved < 0 && (errno == EAGAIN || errno == EINTR))
        ::BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    return static_cast<int>(moved);
}

int bio_write(BIO* bio, const char* bytes, int size) {
    const auto sent = ::send(bio_descriptor(bio), bytes, static_cast<std::size_t>(size),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    return bio_finish(bio, sent, BIO_FLAGS_WRITE);
}

int bio_read(BIO* bio, char* bytes, int size) {
    const auto got =
        ::recv(bio_descriptor(bio), bytes, static_cast<std::size_t>(size), MSG_DONTWAIT);
    return bio_finish(bio, got, BIO_FLAGS_READ);
}

long bio_control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO* make_bio(FdView socket) {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = ::BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        ::BIO_meth_set_write(made, bio_write);
        ::BIO_meth_set_read(made, bio_read);
        ::BIO_meth_set_ctrl(made, bio_control);
        return made;
    }();
    BIO* bio = ::BIO_new(method);
    ::BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket.raw())));
    ::BIO_set_init(bio, 1);
    return bio;
}

class TlsStream final : public Stream {
public:
    TlsStream(std::unique_ptr<Stream> under, Ssl ssl)
        : under_(std::move(under)), ssl_(std::move(ssl)) {
        BIO* bio = make_bio(under_->fd());
        ::SSL_set_bio(ssl_.get(), bio, bio);
    }

    Result<Step> try_read(std::span<char> buffer) override {
        std::size_t got = 0;
        start_call();
        const int outcome = ::SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &got);
        return outcome > 0 ? Step{Step::moved, got} : step_of(outcome, "read");
    }

    Result<Step> try_write(std::span<const std::string_view> parts) override {
        while (!parts.empty() && parts.front().empty()) parts = parts.subspan(1);
        if (parts.empty()) return Step{Step::moved, 0};
        std::size_t sent = 0;
        start_call();
        const int outcome =
            ::SSL_write_ex(ssl_.get(), parts.front().data(), parts.front().size(), &sent);
        if (outcome > 0) return Step{Step::moved, sent};
        if (errno == ECONNRESET || errno == EPIPE) TRY(last_words());
        return step_of(outcome, "write");
    }

    Result<void> shutdown_write() override {
        ::ERR_clear_error();
        ::SSL_shutdown(ssl_.get());
        ::ERR_clear_error();
        return {};
    }

    FdView fd() const override { return under_->fd(); }
    FdView raw_socket() const override { return FdView(); }
    bool has_pending() const override { return ::SSL_pending(ssl_.get()) > 0; }

    Result<void> handshake(Deadline deadline) {
        for (;;) {
            start_call();
            const int outcome = ::SSL_do_handshake(ssl_.get());
            if (outcome == 1) return {};
            const Step step = TRY(handshake_step(outcome));
            if (step.kind == Step::end)
                return fail(ErrorKind::unavailable,
                            "the peer closed the connection in the TLS handshake");
            TRY(wait(step.kind, deadline));
        }
    }

private:
    /// SSL_get_error() looks at the thread's error queue and errno: neither may be old.
    static void start_call() {
        ::ERR_clear_error();
        errno = 0;
    }

    Result<Step> handshake_step(int outcome) {
        const long verified = ::SSL_get_verify_result(ssl_.get());
        const bool checked = ::SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
        if (checked && ::SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_SSL &&
            verified != X509_V_OK)
            return fail(ErrorKind::unavailable, "tls: failed to verify certificate: {}",
                        ::X509_verify_cert_error_string(verified));
        return step_of(outcome, "handshake");
    }

    /// A peer that refuses us (our certificate, in TLS 1.3 after the handshake) says why and hangs
    /// up: that is still to be read, and tells more than the reset. Leaves errno as it was.
    Result<void> last_words() {
        const int number = errno;
        char byte = 0;
        std::size_t got = 0;
        start_call();
        const int outcome = ::SSL_read_ex(ssl_.get(), &byte, 1, &got);
        if (outcome <= 0 && ::SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_SSL)
            return tls_error("write");
        start_call();
        errno = number;
        return {};
    }

    Result<Step> step_of(int outcome, std::string_view what) {
        const int number = errno;
        switch (::SSL_get_error(ssl_.get(), outcome)) {
            case SSL_ERROR_ZERO_RETURN:
                return Step{Step::end};
            case SSL_ERROR_WANT_READ:
                return Step{Step::wait_readable};
            case SSL_ERROR_WANT_WRITE:
                return Step{Step::wait_writable};
            case SSL_ERROR_SYSCALL:
                if (number != 0) return Error::from_errno(number, fmt::format("TLS {}", what));
                [[fallthrough]];
            default:
                // A bare end of the connection lands here too: a cut is not an orderly end.
                return tls_error(what);
        }
    }

    std::unique_ptr<Stream> under_;
    Ssl ssl_;
};

Result<Context> make_context(const SSL_METHOD* method) {
    Context context(::SSL_CTX_new(method));
    if (!context) return fail(ErrorKind::internal, "tls: {}", openssl_reason());
    ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                          SSL_MODE_RELEASE_BUFFERS);
    return context;
}

Result<void> load_certificate(SSL_CTX* context, const std::string& certificate,
                              const std::string& key) {
    if (certificate.empty() && key.empty()) return {};
    if (::SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
        return fail(ErrorKind::invalid, "tls: certificate {}: {}", certificate, openssl_reason());
    if (::SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail(ErrorKind::invalid, "tls: key {}: {}", key, openssl_reason());
    if (::SSL_CTX_check_private_key(context) != 1)
        return fail(ErrorKind::invalid, "tls: key {} does not belong to certificate {}", key,
                    certificate);
    return {};
}

Result<void> load_authorities(SSL_CTX* context, const std::string& file) {
    if (::SSL_CTX_load_verify_file(context, file.c_str()) != 1)
        return fail(ErrorKind::invalid, "tls: certificate authorities {}: {}", file,
                    openssl_reason());
    return {};
}

class Connector final : public TlsConnector {
public:
    Connector(Context context, bool insecure) : context_(std::move(context)), insecure_(insecure) {}

    Result<std::unique_ptr<Stream>> connect(std::unique_ptr<Stream> stream, const std::string& host,
                                            Deadline deadline) const override {
        Ssl ssl(::SSL_new(context_.get()));
        if (!ssl) return fail(ErrorKind::no_space, "tls: {}", openssl_reason());
        TRY(expect_host(ssl.get(), host));
        ::SSL_set_connect_state(ssl.get());
        auto secure = std::make_unique<TlsStream>(std::move(stream), std::move(ssl));
        TRY(secure->handshake(deadline));
        return std::unique_ptr<Stream>(std::move(secure));
    }

private:
    /// The name to ask for (SNI takes names only) and the name that the certificate must carry.
    Result<void> expect_host(SSL* ssl, const std::string& host) const {
        X509_VERIFY_PARAM* wanted = ::SSL_get0_param(ssl);
        const bool is_address = ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
        if (!is_address) {
            ::SSL_set_tlsext_host_name(ssl, host.c_str());
            if (!insecure_ && ::X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) != 1)
                return fail(ErrorKind::invalid, "tls: bad host name {}", host);
        }
        ::ERR_clear_error();
        return {};
    }

    Context context_;
    bool insecure_;
};

class Acceptor final : public TlsAcceptor {
public:
    explicit Acceptor(Context context) : context_(std::move(context)) {}

    Result<std::unique_ptr<Stream>> accept(std::unique_ptr<Stream> stream,
                                           Deadline deadline) const override {
        Ssl ssl(::SSL_new(context_.get()));
        if (!ssl) return fail(ErrorKind::no_space, "tls: {}", openssl_reason());
        ::SSL_set_accept_state(ssl.get());
        auto secure = std::make_unique<TlsStream>(std::move(stream), std::move(ssl));
        TRY(secure->handshake(deadline));
        return std::unique_ptr<Stream>(std::move(secure));
    }

private:
    Context context_;
};

}  // namespace

Result<std::shared_ptr<const TlsConnector>> make_tls_connector(const TlsClientOptions& options) {
    Context context = TRY(make_context(::TLS_client_method()));
    if (options.trust_system) ::SSL_CTX_set_default_verify_paths(context.get());
    for (const auto& file : options.ca_files) TRY(load_authorities(context.get(), file));
    TRY(load_certificate(context.get(), options.certificate_file, options.key_file));
    ::SSL_CTX_set_verify(context.get(), options.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                         nullptr);
    return std::shared_ptr<const TlsConnector>(
        std::make_shared<Connector>(std::move(context), options.insecure));
}

Result<std::shared_ptr<const TlsAcceptor>> make_tls_acceptor(const TlsServerOptions& options) {
    Context context = TRY(make_context(::TLS_server_method()));
    TRY(load_certificate(context.get(), options.certificate_file, options.key_file));
    if (!options.client_ca_file.empty()) {
        TRY(load_authorities(context.get(), options.client_ca_file));
        ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                             nullptr);
        // Resumed sessions need a context id when clients are verified.
        static constexpr unsigned char name[] = "corten";
        ::SSL_CTX_set_session_id_context(context.get(), name, sizeof name - 1);
    }
    return std::shared_ptr<const TlsAcceptor>(std::make_shared<Acceptor>(std::move(context)));
}

}  // namespace corten::http
