//! Writes a self-signed certificate and its key for trying things out: `certificate DIR NAME...` makes DIR/cert.pem and
//! DIR/key.pem (EC P-256, valid for a week). A client trusts it by taking cert.pem as its authority.

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};
use std::{
    env,
    error::Error,
    fs::OpenOptions,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Certificate and key in PEM; a name is a host's or an IP address.
pub fn make(names: &[&str]) -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", names.first().unwrap_or(&"localhost"))?;
    let subject = subject.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    let (today, next_week) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(7)?);
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&subject)?;
    certificate.set_issuer_name(&subject)?;
    certificate.set_pubkey(&key)?;
    certificate.set_not_before(&today)?;
    certificate.set_not_after(&next_week)?;
    let mut alternatives = SubjectAlternativeName::new();
    for name in names {
        match name.parse::<IpAddr>() {
            Ok(_) => alternatives.ip(name),
            Err(_) => alternatives.dns(name),
        };
    }
    let alternatives = alternatives.build(&certificate.x509v3_context(None, None))?;
    certificate.append_extension(alternatives)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok((certificate.build().to_pem()?, key.private_key_to_pem_pkcs8()?))
}

fn write(path: &Path, mode: u32, octets: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(octets)
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [dir, names @ ..] = &words[..] else { return Err("usage: certificate DIR NAME...".into()) };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (certificate, key) = make(&names)?;
    write(&Path::new(dir).join("cert.pem"), 0o644, &certificate)?;
    write(&Path::new(dir).join("key.pem"), 0o600, &key)?;
    Ok(())
}
