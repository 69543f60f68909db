//! Ranges of addresses, as rules name them.

use std::{fmt, net::IpAddr, str::FromStr};

/// `192.0.2.0/24`, `2001:db8::/32`, or a single address. Mapped addresses (`::ffff:192.0.2.1`) are their IPv4
/// address before any rule looks at them, here as in a peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// True when `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(one)) => {
                (base.to_bits() ^ one.to_bits()).checked_shr(32_u32.saturating_sub(self.bits)).unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(base), IpAddr::V6(one)) => {
                (base.to_bits() ^ one.to_bits()).checked_shr(128_u32.saturating_sub(self.bits)).unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// True when `address` lies in one of `ranges`.
    pub fn any(ranges: &[Network], address: IpAddr) -> bool {
        ranges.iter().any(|range| range.contains(address))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    /// Refuses a range whose address has bits beyond its length: who writes `192.0.2.7/24` may mean either.
    fn from_str(text: &str) -> Result<Network, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| format!("`{text}` is not an address or range"))?;
        let widest: u32 = if base.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            None => widest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|bits| *bits <= widest)
                .ok_or_else(|| format!("`{text}`: the length of a range like this is at most {widest}"))?,
            Some(_) => return Err(format!("`{text}`: the length of a range is a number")),
        };
        let mapped = base.is_ipv6() && base.to_canonical().is_ipv4();
        let range = match (mapped, bits) {
            (false, _) => Network { base, bits },
            (true, 96..) => Network { base: base.to_canonical(), bits: bits.saturating_sub(96) },
            (true, _) => return Err(format!("`{text}` covers more than the mapped IPv4 addresses")),
        };
        let first = match range.base {
            IpAddr::V4(v4) => IpAddr::V4(
                (v4.to_bits() & u32::MAX.checked_shl(32_u32.saturating_sub(range.bits)).unwrap_or(0)).into(),
            ),
            IpAddr::V6(v6) => IpAddr::V6(
                (v6.to_bits() & u128::MAX.checked_shl(128_u32.saturating_sub(range.bits)).unwrap_or(0))
                    .into(),
            ),
        };
        if first != range.base {
            return Err(format!(
                "`{text}` does not begin a range of that length; {first}/{} does",
                range.bits
            ));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_should() {
        for (range, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "::ffff:192.0.2.9", "::192.0.2.9"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
        ] {
            let network: Network = range.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{range} {outside}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            "",
            "192.0.2.7/24",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2",
            "::/129",
            "::ffff:0:0/95",
            "localhost",
            "192.0.2.0/",
            "010.0.0.1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!("192.0.2.7/24".parse::<Network>().unwrap_err().contains("192.0.2.0/24 does"));
    }
}
