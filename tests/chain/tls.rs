//! TLS as clients of mail-relayd meet it: what is refused, and what the log says of it.

use crate::kit::{daemon::Daemon, house::House, smtp::Speaker};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVersion};
use std::net::{SocketAddr, TcpStream};

const TEXT: &str = "Subject: hello\n\nbody\n";

/// A handshake with this version and no other; the version that came about.
fn handshake(address: SocketAddr, version: SslVersion) -> Option<String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
    // Whatever this machine's OpenSSL allows: the server is to refuse.
    context.set_security_level(0);
    context.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    context.set_min_proto_version(Some(version)).unwrap();
    context.set_max_proto_version(Some(version)).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::kit::PATIENCE)).unwrap();
    let mut stream = SslStream::new(Ssl::new(&context.build()).unwrap(), stream).unwrap();
    stream.connect().ok().map(|()| stream.ssl().version_str().to_owned())
}

#[test]
fn old_versions_are_refused_and_the_log_says_so() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let address = daemon.tcp("submissions");
    for (version, name) in [
        (SslVersion::TLS1, None),
        (SslVersion::TLS1_1, None),
        (SslVersion::TLS1_2, Some("TLSv1.2")),
        (SslVersion::TLS1_3, Some("TLSv1.3")),
    ] {
        assert_eq!(handshake(address, version).as_deref(), name, "{version:?}");
    }
    let line = daemon.logged("no TLS with a client");
    assert!(line.contains("client=127.0.0.1") && line.contains("unsupported protocol"), "{line}");
}

#[test]
fn the_log_names_version_and_cipher_of_what_came_under_tls() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut clear = Speaker::tcp(daemon.tcp("smtp")).hello();
    clear.deliver("in-the-clear@example.net", &["alice@example.org"], TEXT);
    let line = daemon.logged("from=in-the-clear@");
    assert!(!line.contains("tls=") && !line.contains("login="), "{line}");
    let mut secure = clear.secure();
    secure.deliver("under-tls@example.net", &["alice@example.org"], TEXT);
    let line = daemon.logged("from=under-tls@");
    assert!(line.contains(" tls=\"TLSv1.3 TLS_"), "{line}");
    let mut user = Speaker::tls(daemon.tcp("submissions")).hello();
    assert!(user.login("alice", "wonderland").starts_with("235"));
    user.deliver("alice@example.org", &["bob@example.org"], TEXT);
    let line = daemon.logged("from=alice@");
    assert!(line.contains(" tls=\"TLSv1.3 TLS_") && line.contains(" login=alice@example.org"), "{line}");
}
