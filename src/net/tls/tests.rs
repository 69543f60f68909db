//! Handshakes between our two sides.

use super::*;
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Writes a self-signed certificate for `host` (a name or an address) and its key into `dir`.
pub(in crate::net) fn certify(dir: &Path, host: &str) -> (PathBuf, PathBuf) {
    certify_until(dir, host, &Asn1Time::days_from_now(1).unwrap())
}

fn certify_until(dir: &Path, host: &str, end: &openssl::asn1::Asn1TimeRef) -> (PathBuf, PathBuf) {
    static SERIAL: AtomicU32 = AtomicU32::new(1);
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", host).unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    let serial = BigNum::from_u32(SERIAL.fetch_add(1, Ordering::Relaxed)).unwrap();
    made.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::from_unix(1_000_000_000).unwrap()).unwrap();
    made.set_not_after(end).unwrap();
    let mut names = SubjectAlternativeName::new();
    if host.parse::<IpAddr>().is_ok() {
        names.ip(host)
    } else {
        names.dns(host)
    };
    let names = names.build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(names).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    let (certificate, key_path) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.build().to_pem().unwrap()).unwrap();
    std::fs::write(&key_path, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (certificate, key_path)
}

/// A directory of its own, gone when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("posthaste-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Secured = io::Result<SslStream<DuplexStream>>;

/// Both ends of a handshake.
async fn shake(acceptor: &Acceptor, connector: &Connector, host: &str) -> (Secured, Secured) {
    let (one, other) = duplex(64 * 1024);
    tokio::join!(acceptor.accept(one), connector.connect(host, other))
}

#[tokio::test]
async fn who_asks_for_another_protocol_gets_an_alert_and_who_asks_for_none_is_welcome() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "mx.example.org");
    let acceptor = Acceptor::speaking(&certificate, &key, b"\x04smtp").unwrap();
    let asked: [(Option<&[u8]>, bool); 5] = [
        (None, true),
        (Some(b"\x04smtp"), true),
        (Some(b"\x02h2\x04smtp"), true),
        (Some(b"\x08http/1.1"), false),
        (Some(b"\x02h2\x08http/1.1"), false),
    ];
    for _ in 0..2 {
        for (protocols, welcome) in asked {
            let mut builder = context(SslMethod::tls_client()).unwrap();
            builder.set_verify(SslVerifyMode::NONE);
            if let Some(protocols) = protocols {
                builder.set_alpn_protos(protocols).unwrap();
            }
            let connector = Connector { context: builder.build(), verifies: false };
            let (server, client) = shake(&acceptor, &connector, "mx.example.org").await;
            assert_eq!((server.is_ok(), client.is_ok()), (welcome, welcome), "{protocols:?}");
            if let Err(fault) = client {
                // RFC 7301 section 3.2.
                assert!(fault.to_string().contains("alert no application protocol"), "{fault}");
            }
        }
        // A reload keeps to it.
        acceptor.reload().unwrap();
    }
}

#[tokio::test]
async fn a_trusted_name_is_greeted_and_any_other_is_not() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "mx.example.org");
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    let ours = Connector::open(&Trust::File(certificate)).unwrap();
    let (server, client) = shake(&acceptor, &ours, "mx.example.org").await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let facts = Facts::of(server.ssl());
    assert_eq!(facts.version, "TLSv1.3");
    assert_eq!(facts.name.as_deref(), Some("mx.example.org"));
    client.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    for wrong in ["example.org", "mx.example.com", "127.0.0.1", "x.mx.example.org"] {
        let (_, client) = shake(&acceptor, &ours, wrong).await;
        let fault = client.err().unwrap().to_string();
        assert!(fault.contains(wrong) && fault.contains("not trusted"), "{fault}");
    }
    assert!(shake(&acceptor, &ours, "mx.example.org.").await.1.is_ok(), "a final dot is the same name");
}

#[tokio::test]
async fn an_address_can_be_certified_too() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "127.0.0.1");
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    let ours = Connector::open(&Trust::File(certificate)).unwrap();
    assert!(shake(&acceptor, &ours, "127.0.0.1").await.1.is_ok());
    assert!(shake(&acceptor, &ours, "127.0.0.2").await.1.is_err());
}

#[tokio::test]
async fn who_signed_it_must_be_known_unless_anyone_will_do() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "mx.example.org");
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    let system = Connector::open(&Trust::System).unwrap();
    let fault = shake(&acceptor, &system, "mx.example.org").await.1.err().unwrap().to_string();
    assert!(fault.contains("self-signed") || fault.contains("self signed"), "{fault}");
    let anyone = Connector::open(&Trust::Anyone).unwrap();
    assert!(shake(&acceptor, &anyone, "whoever.example").await.1.is_ok());
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let dir = Dir::new();
    let (certificate, key) =
        certify_until(&dir.0, "mx.example.org", &Asn1Time::from_unix(1_100_000_000).unwrap());
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    let ours = Connector::open(&Trust::File(certificate)).unwrap();
    let fault = shake(&acceptor, &ours, "mx.example.org").await.1.err().unwrap().to_string();
    assert!(fault.contains("expired"), "{fault}");
}

#[tokio::test]
async fn versions_before_1_2_are_not_spoken() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "mx.example.org");
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    for (most, works) in [(SslVersion::TLS1_3, true), (SslVersion::TLS1_2, true), (SslVersion::TLS1_1, false)]
    {
        let mut builder = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
        builder.set_min_proto_version(None).unwrap();
        builder.set_max_proto_version(Some(most)).unwrap();
        // Security level 0 lets this client speak old versions where its build can.
        builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        let old = Connector { context: builder.build(), verifies: false };
        let (server, client) = shake(&acceptor, &old, "mx.example.org").await;
        assert_eq!(server.is_ok() && client.is_ok(), works, "{most:?}");
    }
}

#[tokio::test]
async fn a_reload_takes_the_new_certificate_and_keeps_the_old_one_when_it_can_not() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "old.example.org");
    let acceptor = Acceptor::open(&certificate, &key).unwrap();
    let old = Connector::open(&Trust::File(certificate.clone())).unwrap();
    std::fs::write(&key, "no key").unwrap();
    let fault = acceptor.reload().unwrap_err().to_string();
    assert!(fault.contains("key.pem"), "{fault}");
    assert!(shake(&acceptor, &old, "old.example.org").await.1.is_ok());
    certify(&dir.0, "new.example.org");
    acceptor.reload().unwrap();
    let new = Connector::open(&Trust::File(certificate)).unwrap();
    assert!(shake(&acceptor, &new, "new.example.org").await.1.is_ok());
    assert!(shake(&acceptor, &old, "old.example.org").await.1.is_err());
}

#[test]
fn a_file_that_can_not_be_used_is_named() {
    let dir = Dir::new();
    let (certificate, key) = certify(&dir.0, "one.example.org");
    let other = Dir::new();
    let (_, strange) = certify(&other.0, "two.example.org");
    let missing = dir.0.join("missing.pem");
    for (certificate, key, said) in [
        (&missing, &key, "No such file"),
        (&certificate, &missing, "No such file"),
        (&certificate, &strange, "mismatch"),
        (&key, &key, "certificate"),
    ] {
        let fault = Acceptor::open(certificate, key).unwrap_err().to_string();
        assert!(fault.contains(said), "{fault:?} does not say {said:?}");
    }
    assert!(Connector::open(&Trust::File(missing)).unwrap_err().to_string().contains("missing.pem"));
}

#[test]
fn a_hashed_directory_is_known_by_its_names() {
    let dir = Dir::new();
    for name in ["ca-certificates.crt", "1234567.0", "123456789.0", "1234567g.0", "12345678.1"] {
        std::fs::write(dir.0.join(name), "").unwrap();
    }
    assert!(!is_hashed(&dir.0));
    std::fs::write(dir.0.join("b1159c4c.0"), "").unwrap();
    assert!(is_hashed(&dir.0));
    assert!(!is_hashed(&dir.0.join("missing")));
}
