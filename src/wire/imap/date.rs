//! Dates as IMAP writes them (RFC 3501 section 9): days for SEARCH, moments for INTERNALDATE and APPEND.

use super::token::Bad;
use crate::mail::query::Day;
use jiff::{Timestamp, civil::DateTime, tz::Offset};
use std::time::SystemTime;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// ```abnf
/// date-text = date-day "-" date-month "-" date-year
/// date-day  = 1*2DIGIT
/// ```
/// The quotes that may stand around it are the caller's.
pub fn day(text: &[u8]) -> Result<Day, Bad> {
    const WHAT: Bad = Bad("a date like 24-Nov-2026");
    let text = std::str::from_utf8(text).map_err(|_| WHAT)?;
    let mut parts = text.split('-');
    let (Some(day), Some(month), Some(year), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(WHAT);
    };
    let digits = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
        text.parse::<i16>().ok().filter(|_| fits).ok_or(WHAT)
    };
    if year.len() != 4 {
        return Err(WHAT);
    }
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month)).ok_or(WHAT)?;
    let month = i8::try_from(month.saturating_add(1)).map_err(|_| WHAT)?;
    let day = i8::try_from(digits(day, 2)?).map_err(|_| WHAT)?;
    Day::new(digits(year, 4)?, month, day).map_err(|_| WHAT)
}

/// ```abnf
/// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// ```
/// Without its quotes. Years before 1970 are those of a file system that has them.
pub fn moment(text: &[u8]) -> Result<SystemTime, Bad> {
    const WHAT: Bad = Bad("a date like \"24-Nov-2026 15:20:28 +0100\"");
    let (date, rest) = text.split_at_checked(11).ok_or(WHAT)?;
    let day = day(date.trim_ascii_start()).map_err(|_| WHAT)?;
    let [b' ', h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign @ (b'+' | b'-'), zone @ ..] = rest else {
        return Err(WHAT);
    };
    let [zh1, zh2, zm1, zm2] = zone else { return Err(WHAT) };
    let pair = |high: &u8, low: &u8| {
        let digit = |octet: &u8| {
            octet.is_ascii_digit().then(|| i8::try_from(octet.wrapping_sub(b'0')).ok()).flatten()
        };
        digit(high)?.checked_mul(10)?.checked_add(digit(low)?)
    };
    let (hour, minute) = (pair(h1, h2).ok_or(WHAT)?, pair(m1, m2).ok_or(WHAT)?);
    // A leap second counts as the one before it.
    let second = pair(s1, s2).map(|second| if second == 60 { 59 } else { second }).ok_or(WHAT)?;
    let (zone_hours, zone_minutes) = (pair(zh1, zh2).ok_or(WHAT)?, pair(zm1, zm2).ok_or(WHAT)?);
    let east =
        i32::from(zone_hours).saturating_mul(60).saturating_add(i32::from(zone_minutes)).saturating_mul(60);
    if zone_minutes > 59 {
        return Err(WHAT);
    }
    let offset =
        Offset::from_seconds(if *sign == b'-' { east.saturating_neg() } else { east }).map_err(|_| WHAT)?;
    let civil =
        DateTime::new(day.year(), day.month(), day.day(), hour, minute, second, 0).map_err(|_| WHAT)?;
    Ok(SystemTime::from(offset.to_timestamp(civil).map_err(|_| WHAT)?))
}

/// A moment as INTERNALDATE has it, in UTC and with its quotes: `"24-Nov-2026 15:20:28 +0000"`.
pub fn print(date: SystemTime, out: &mut Vec<u8>) {
    // What the calendar cannot show is its beginning.
    let date = Timestamp::try_from(date).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = Offset::UTC.to_datetime(date);
    let civil = if (0..=9999).contains(&civil.year()) {
        civil
    } else {
        Offset::UTC.to_datetime(Timestamp::UNIX_EPOCH)
    };
    let month = usize::try_from(civil.month()).ok().and_then(|month| month.checked_sub(1));
    let month = month.and_then(|month| MONTHS.get(month)).copied().unwrap_or("Jan");
    let text = format!(
        "\"{:2}-{month}-{:04} {:02}:{:02}:{:02} +0000\"",
        civil.day(),
        civil.year(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn days_are_read_strictly() {
        assert_eq!(day(b"1-Feb-1994").unwrap().to_string(), "1994-02-01");
        assert_eq!(day(b"24-nov-2026").unwrap().to_string(), "2026-11-24");
        for bad in [
            "",
            "1-Feb-94",
            "32-Jan-2026",
            "1-Foo-2026",
            "1-Feb-2026 ",
            "-1-Feb-2026",
            "1-2-2026",
            "+1-Feb-2026",
        ] {
            assert!(day(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_go_in_and_come_out() {
        for (text, seconds, printed) in [
            ("17-Jul-1996 02:44:25 -0700", 837_596_665, "\"17-Jul-1996 09:44:25 +0000\""),
            (" 7-Feb-1994 22:43:04 +0000", 760_660_984, "\" 7-Feb-1994 22:43:04 +0000\""),
            ("07-Feb-1994 22:43:04 +0000", 760_660_984, "\" 7-Feb-1994 22:43:04 +0000\""),
            ("31-Dec-2016 23:59:60 +0000", 1_483_228_799, "\"31-Dec-2016 23:59:59 +0000\""),
        ] {
            let date = moment(text.as_bytes()).unwrap();
            assert_eq!(date, UNIX_EPOCH + Duration::from_secs(seconds), "{text}");
            let mut out = Vec::new();
            print(date, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), printed);
        }
        for bad in [
            "",
            "17-Jul-1996",
            "17-Jul-1996 02:44:25",
            "17-Jul-1996 02:44:25 0700",
            "17-Jul-1996 02:44:25 +07000",
            "17-Jul-1996 24:00:00 +0000",
            "17-Jul-1996 02:44:25 +0060",
            "7-Feb-1994 22:43:04 +0000",
            "17-Jul-1996 02:4x:25 +0000",
        ] {
            assert!(moment(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_printed_all_the_same() {
        let mut out = Vec::new();
        print(UNIX_EPOCH + Duration::from_secs(u64::MAX / 2), &mut out);
        assert_eq!(out, b"\" 1-Jan-1970 00:00:00 +0000\"");
    }
}
