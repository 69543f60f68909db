//! Dates as mail writes them (RFC 5322 section 3.3, obsolete forms included), in and out. No clock is read here.

use super::header::lex;
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};
use std::fmt;

/// A point in time as a person wrote it down: with the offset of their clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Seconds since 1970.
    pub seconds: i64,
    /// The offset from UTC in minutes, east positive; 0 where none is known.
    pub offset: i16,
}

/// A date has fewer words, and no word of it is longer than [`WORD_MAX`]: what is more is not looked at.
const WORDS_MAX: usize = 16;
const WORD_MAX: usize = 32;

impl Date {
    /// Reads a Date field's body: RFC 5322, the obsolete zones and years, comments anywhere, and the word order of
    /// asctime(3) (`Tue Nov 24 15:20:28 2026`). The day of the week is not compared. `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Date> {
        let (mut day, mut month, mut year, mut time, mut offset) = (None, None, None, None, None);
        let flat = flat(text);
        for word in flat.split(|octet| matches!(octet, b' ' | b',')).filter(|word| !word.is_empty()) {
            if word.contains(&b':') {
                time = time.or(clock(word));
            } else if month.is_none() && month_of(word).is_some() {
                month = month_of(word);
            } else if time.is_some() && offset.is_none() && zone(word).is_some() {
                offset = zone(word);
            } else if let Some(value) = number(word) {
                match day {
                    None => day = Some(value),
                    Some(_) => year = year.or(Some(full_year(value, word.len()))),
                }
            }
        }
        let (hour, minute, second) = time?;
        let day = i8::try_from(day?).ok()?;
        let civil = DateTime::new(year?, month?, day, hour, minute, second, 0).ok()?;
        let offset = offset.unwrap_or(0);
        let zone = Offset::from_seconds(i32::from(offset).saturating_mul(60)).ok()?;
        Some(Date { seconds: zone.to_timestamp(civil).ok()?.as_second(), offset })
    }

    /// The same moment in another zone, or this one's for what can't be shown there.
    pub fn civil(&self, zone: &TimeZone) -> Option<DateTime> {
        Some(zone.to_datetime(Timestamp::from_second(self.seconds).ok()?))
    }

    /// What the clock and calendar of the one who wrote it showed.
    pub fn as_written(&self) -> Option<DateTime> {
        let offset = Offset::from_seconds(i32::from(self.offset).saturating_mul(60)).ok()?;
        Some(offset.to_datetime(Timestamp::from_second(self.seconds).ok()?))
    }

    /// The moment as RFC 3339 writes it, with its offset: `2026-11-24T15:20:28+01:00`.
    pub fn rfc3339(&self) -> Option<String> {
        let offset = Offset::from_seconds(i32::from(self.offset).saturating_mul(60)).ok()?;
        let moment = Timestamp::from_second(self.seconds).ok()?;
        Some(moment.display_with_offset(offset).to_string())
    }

    /// The moment `seconds` since 1970, with the offset that `zone` has then.
    pub fn at(seconds: i64, zone: &TimeZone) -> Date {
        let offset =
            Timestamp::from_second(seconds).map_or(0, |moment| zone.to_offset(moment).seconds() / 60);
        Date { seconds, offset: i16::try_from(offset).unwrap_or(0) }
    }
}

/// `date-time` of RFC 5322: `Tue, 24 Nov 2026 15:20:28 +0100`. A moment out of the calendar's range is the start of 1970.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(civil) = self.as_written().filter(|civil| civil.year() >= 0) else {
            return f.write_str("Thu, 01 Jan 1970 00:00:00 +0000");
        };
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.unsigned_abs());
        write!(f, "{} {sign}{:02}{:02}", civil.strftime("%a, %d %b %Y %H:%M:%S"), minutes / 60, minutes % 60)
    }
}

/// The words of a date parted by single spaces, without comments and without white space around colons.
fn flat(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = lex::skip_space(text);
    for _ in 0..WORDS_MAX {
        let separator = |octet: &u8| octet.is_ascii_whitespace() || *octet == b'(';
        let length = rest.iter().take(WORD_MAX).position(separator).unwrap_or(rest.len());
        let Some((word, tail)) = rest.split_at_checked(length).filter(|(word, _)| word.len() <= WORD_MAX)
        else {
            break;
        };
        if word.first() != Some(&b':') && out.last() != Some(&b':') {
            out.push(b' ');
        }
        out.extend_from_slice(word);
        rest = lex::skip_space(tail);
    }
    out
}

fn number(word: &[u8]) -> Option<i16> {
    let digits = word.len() <= 4 && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}

/// Two and three digits as RFC 5322 section 4.3 has it.
fn full_year(value: i16, digits: usize) -> i16 {
    match (digits, value) {
        (..=2, ..50) => value.saturating_add(2000),
        (..=3, _) => value.saturating_add(1900),
        _ => value,
    }
}

fn month_of(word: &[u8]) -> Option<i8> {
    const NAMES: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let head = word.get(..3)?.to_ascii_lowercase();
    let alphabetic = word.iter().all(u8::is_ascii_alphabetic);
    let place = NAMES.iter().position(|name| alphabetic && *name == head)?;
    i8::try_from(place.checked_add(1)?).ok()
}

/// `hh:mm[:ss]`; a leap second counts as the one before it.
fn clock(word: &[u8]) -> Option<(i8, i8, i8)> {
    let mut parts = word
        .split(|&octet| octet == b':')
        .map(|part| number(part).and_then(|value| i8::try_from(value).ok()));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().map_or(Some(0), |second| second)?;
    parts.next().is_none().then_some((hour, minute, if second == 60 { 59 } else { second }))
}

/// Minutes east of UTC. The names are those of RFC 5322 section 4.3; any other name, the military letters
/// included, says as much as `-0000`.
fn zone(word: &[u8]) -> Option<i16> {
    if let [sign @ (b'+' | b'-'), digits @ ..] = word {
        let value = number(digits).filter(|_| digits.len() == 4)?;
        let minutes = value.checked_div(100)?.checked_mul(60)?.checked_add(value.checked_rem(100)?)?;
        // A day is more than any clock is off.
        let minutes = if minutes >= 24 * 60 { 0 } else { minutes };
        return Some(if *sign == b'-' { minutes.saturating_neg() } else { minutes });
    }
    if !word.iter().all(u8::is_ascii_alphabetic) || word.is_empty() {
        return None;
    }
    let hours = match word.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    Some(hours * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_rfc_5322_and_older_are_read() {
        for (text, seconds, offset) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706, -360),
            ("Tue, 1 Jul 2003 10:52:37 +0200", 1_057_049_557, 120),
            ("Thu, 13 Feb 1969 23:32:54 -0330", -27_723_426, -210),
            (
                "Thu,\r\n          13\r\n            Feb\r\n              1969\r\n          23:32\r\n                   -0330 (Newfoundland Time)",
                -27_723_480,
                -210,
            ),
            ("21 Nov 97 09:55:06 GMT", 880_106_106, 0),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706, -360),
            ("21 Nov 1997 09:55:06 EST", 880_124_106, -300),
            ("21 Nov 1997 09:55:06 A", 880_106_106, 0),
            ("21 Nov 1997 09:55:06 MESZ", 880_106_106, 0),
            ("21 Nov 1997 09:55:06", 880_106_106, 0),
            ("21 Nov 1997 09:55:06 +9999", 880_106_106, 0),
            ("Sat, 31 Dec 2016 23:59:60 +0000", 1_483_228_799, 0),
            ("21 Nov 102 09:55:06 +0000", 1_037_872_506, 0),
            ("21 Nov 02 09:55:06 +0000", 1_037_872_506, 0),
            ("Tue Nov 24 15:20:28 2026", 1_795_533_628, 0),
            ("Tue, 24 November 2026 15:20:28 +0100 (CET)", 1_795_530_028, 60),
        ] {
            assert_eq!(Date::parse(text.as_bytes()), Some(Date { seconds, offset }), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "32 Nov 1997 09:55:06 +0000",
            "30 Feb 1997 09:55:06 +0000",
            "21 Nov 1997",
            "21 Nov 1997 25:00:00 +0000",
            "21 Nov 1997 09:61 +0000",
            "Nov 1997 09:55:06",
            "21 Nov 09:55:06 +0000",
            "1 Jan 99999 00:00:00 +0000",
            "((((",
            "00:00:00:00",
            ": : :",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
        let long = "x ".repeat(100_000);
        assert_eq!(Date::parse(long.as_bytes()), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        for (seconds, offset, text) in [
            (880_127_706, -360, "Fri, 21 Nov 1997 09:55:06 -0600"),
            (1_795_530_028, 60, "Tue, 24 Nov 2026 15:20:28 +0100"),
            (0, 0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (-27_723_426, -210, "Thu, 13 Feb 1969 23:32:54 -0330"),
        ] {
            let date = Date { seconds, offset };
            assert_eq!(date.to_string(), text);
            assert_eq!(Date::parse(text.as_bytes()), Some(date));
        }
        for odd in [Date { seconds: i64::MAX, offset: 0 }, Date { seconds: 0, offset: i16::MAX }] {
            assert_eq!(odd.to_string(), "Thu, 01 Jan 1970 00:00:00 +0000");
        }
    }

    #[test]
    fn a_zone_gives_the_offset_of_that_moment() {
        let zone = TimeZone::fixed(Offset::from_seconds(3600).unwrap());
        let date = Date::at(1_795_530_028, &zone);
        assert_eq!(date.offset, 60);
        assert_eq!(date.civil(&TimeZone::UTC).unwrap().to_string(), "2026-11-24T14:20:28");
        assert_eq!(date.as_written().unwrap().to_string(), "2026-11-24T15:20:28");
        assert_eq!(date.rfc3339().as_deref(), Some("2026-11-24T15:20:28+01:00"));
    }
}
