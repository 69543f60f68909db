//! TLS on OpenSSL: a server's side with a certificate that can be reloaded, and a client's side that verifies or does not.
//!
//! TLS 1.2 and 1.3. ALPN is not sent; who names protocols there and none of ours is refused. The system's trust is its hashed CA directory where there is one: a
//! context on it is ready in a few milliseconds, since only the certificates that are needed are read.

use arc_swap::ArcSwap;
use openssl::{
    error::ErrorStack,
    ssl::{
        AlpnError, NameType, Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode, SslOptions,
        SslRef, SslSessionCacheMode, SslVerifyMode, SslVersion, select_next_proto,
    },
    x509::store::X509Lookup,
};
use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

/// Where systems keep their trusted certificates as `HASH.N` files.
const CA_DIRECTORIES: [&str; 4] = [
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted/pem/directory-hash",
    "/usr/local/ssl/certs",
];
/// Where they keep them as one file.
const CA_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];
/// Forward secrecy and AEAD only, for TLS 1.2 (RFC 9325 section 4.2); 1.3 has nothing else.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES+SHA256:!aNULL:!eNULL";

/// What was agreed on, for Received fields and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `TLSv1.3`.
    pub version: String,
    /// The cipher suite's name.
    pub cipher: String,
    /// The server name that the client asked for.
    pub name: Option<String>,
}

impl fmt::Display for Facts {
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)
    }
}

impl Facts {
    /// Those of an established connection.
    pub fn of(ssl: &SslRef) -> Facts {
        Facts {
            version: ssl.version_str().to_owned(),
            cipher: ssl.current_cipher().map_or_else(String::new, |cipher| cipher.name().to_owned()),
            name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
        }
    }
}

/// Why a certificate, key or trust file can't be used: names the file.
#[derive(Debug)]
pub struct Unusable {
    /// What was being done.
    pub doing: String,
    /// What OpenSSL or the system says.
    pub fault: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.fault)
    }
}

impl std::error::Error for Unusable {}

/// The part played in a handshake.
#[derive(Clone, Debug, Default)]
pub enum Role {
    /// TLS is not possible here.
    #[default]
    None,
    /// We show our certificate.
    Server(Acceptor),
    /// We ask for theirs; the host name is sent and verified.
    Client(Connector, String),
}

impl Role {
    /// Does the handshake.
    pub async fn secure<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> io::Result<SslStream<T>> {
        match self {
            Role::None => Err(io::Error::other("no certificate is configured")),
            Role::Server(acceptor) => acceptor.accept(stream).await,
            Role::Client(connector, host) => connector.connect(host, stream).await,
        }
    }
}

/// The server's side. Clones share one certificate; [`Acceptor::reload`] changes it for handshakes to come.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    protocols: &'static [u8],
    current: ArcSwap<SslContext>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("certificate", &self.shared.certificate).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Reads a certificate chain (PEM, our own first) and its key (PEM).
    pub fn open(certificate: &Path, key: &Path) -> Result<Acceptor, Unusable> {
        Acceptor::speaking(certificate, key, b"")
    }

    /// The same for a server of these protocols, as ALPN writes them: each behind its length (RFC 7301 section 3.1). A
    /// client that asks for others, and for none of these, gets an alert: a browser that was led here (RFC 9325
    /// section 3.7). Who asks for nothing is welcome, as mail programs are; where no protocol is given, everyone is.
    pub fn speaking(certificate: &Path, key: &Path, protocols: &'static [u8]) -> Result<Acceptor, Unusable> {
        let current = ArcSwap::from_pointee(server_context(certificate, key, protocols)?);
        let shared = Shared { certificate: certificate.to_owned(), key: key.to_owned(), protocols, current };
        Ok(Acceptor { shared: Arc::new(shared) })
    }

    /// Reads both files again. After an error the old certificate stays in use.
    pub fn reload(&self) -> Result<(), Unusable> {
        let Shared { certificate, key, protocols, .. } = &*self.shared;
        let fresh = server_context(certificate, key, protocols)?;
        self.shared.current.store(Arc::new(fresh));
        Ok(())
    }

    /// The server's handshake.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> io::Result<SslStream<T>> {
        let ssl = Ssl::new(&self.shared.current.load())?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await.map_err(plain)?;
        Ok(stream)
    }
}

/// Whose word is taken for a server's identity.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// The system's certificate authorities.
    #[default]
    System,
    /// Those of a file (PEM) besides the system's; a self-signed certificate may stand there itself.
    File(PathBuf),
    /// Nobody's: the connection is encrypted to whoever answers (opportunistic TLS, RFC 7435).
    Anyone,
}

/// The client's side.
#[derive(Clone)]
pub struct Connector {
    context: SslContext,
    verifies: bool,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("verifies", &self.verifies).finish_non_exhaustive()
    }
}

impl Connector {
    /// A context that trusts so.
    pub fn open(trust: &Trust) -> Result<Connector, Unusable> {
        let mut builder = context(SslMethod::tls_client()).map_err(|fault| unusable("TLS", fault))?;
        match trust {
            Trust::Anyone => builder.set_verify(SslVerifyMode::NONE),
            Trust::System => trust_system(&mut builder)?,
            Trust::File(path) => {
                trust_system(&mut builder)?;
                let doing = || format!("trusted certificates in {}", path.display());
                readable(path, doing)?;
                builder
                    .cert_store_mut()
                    .add_lookup(X509Lookup::file())
                    .and_then(|lookup| lookup.load_cert_file(path, SslFiletype::PEM).map(|_| ()))
                    .map_err(|fault| unusable(&doing(), fault))?;
            }
        }
        Ok(Connector { context: builder.build(), verifies: *trust != Trust::Anyone })
    }

    /// The client's handshake with `host`, a name or an IP address.
    pub async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: T,
    ) -> io::Result<SslStream<T>> {
        let mut ssl = Ssl::new(&self.context)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let address: Option<IpAddr> = host.parse().ok();
        if address.is_none() {
            ssl.set_hostname(host)?;
        }
        if self.verifies {
            match address {
                Some(address) => ssl.param_mut().set_ip(address)?,
                None => ssl.param_mut().set_host(host)?,
            }
        }
        let mut stream = SslStream::new(ssl, stream)?;
        if let Err(fault) = Pin::new(&mut stream).connect().await {
            let verdict = stream.ssl().verify_result();
            return Err(if self.verifies && verdict != openssl::x509::X509VerifyResult::OK {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the certificate of {host} is not trusted: {}", verdict.error_string()),
                )
            } else {
                plain(fault)
            });
        }
        Ok(stream)
    }
}

/// What both sides have in common.
fn context(method: SslMethod) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    // Buffers are given back while a connection idles; a write may be repeated from another place.
    builder.set_mode(
        SslMode::RELEASE_BUFFERS | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    Ok(builder)
}

fn server_context(certificate: &Path, key: &Path, protocols: &'static [u8]) -> Result<SslContext, Unusable> {
    let mut builder = context(SslMethod::tls_server()).map_err(|fault| unusable("TLS", fault))?;
    let doing = || format!("certificate {}", certificate.display());
    readable(certificate, doing)?;
    builder.set_certificate_chain_file(certificate).map_err(|fault| unusable(&doing(), fault))?;
    let doing = || format!("key {} (of certificate {})", key.display(), certificate.display());
    readable(key, doing)?;
    // This compares it with the certificate, too.
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(|fault| unusable(&doing(), fault))?;
    builder.set_cipher_list(CIPHERS).map_err(|fault| unusable("TLS ciphers", fault))?;
    builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    if !protocols.is_empty() {
        builder.set_alpn_select_callback(move |_, wanted| {
            select_next_proto(protocols, wanted).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    Ok(builder.build())
}

fn trust_system(builder: &mut SslContextBuilder) -> Result<(), Unusable> {
    builder.set_verify(SslVerifyMode::PEER);
    if let Some(directory) = CA_DIRECTORIES.iter().find(|directory| is_hashed(Path::new(directory))) {
        return builder
            .cert_store_mut()
            .add_lookup(X509Lookup::hash_dir())
            .and_then(|lookup| lookup.add_dir(directory, SslFiletype::PEM))
            .map_err(|fault| unusable(&format!("trusted certificates in {directory}"), fault));
    }
    if let Some(file) = CA_FILES.iter().find(|file| Path::new(file).is_file()) {
        return builder
            .set_ca_file(file)
            .map_err(|fault| unusable(&format!("trusted certificates in {file}"), fault));
    }
    builder.set_default_verify_paths().map_err(|fault| unusable("trusted certificates", fault))
}

/// True when `directory` has a file named as OpenSSL looks certificates up: 8 hexadecimal digits and `.0`.
fn is_hashed(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.strip_suffix(".0"));
        hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

/// OpenSSL's word for a missing or unreadable file is hard to read; the system's is not.
fn readable(path: &Path, doing: impl Fn() -> String) -> Result<(), Unusable> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(fault) => Err(Unusable { doing: doing(), fault: fault.to_string() }),
    }
}

fn unusable(doing: &str, fault: ErrorStack) -> Unusable {
    let reasons: Vec<&str> = fault.errors().iter().filter_map(|error| error.reason()).collect();
    Unusable { doing: doing.to_owned(), fault: reasons.join("; ") }
}

/// A handshake's error without OpenSSL's file names.
fn plain(fault: openssl::ssl::Error) -> io::Error {
    if let Some(stack) = fault.ssl_error() {
        let reasons: Vec<&str> = stack.errors().iter().filter_map(|error| error.reason()).collect();
        return io::Error::new(io::ErrorKind::InvalidData, reasons.join("; "));
    }
    fault.into_io_error().unwrap_or_else(|_| {
        io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection in the handshake")
    })
}

#[cfg(test)]
pub(super) mod tests;
