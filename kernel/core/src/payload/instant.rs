//! Instants from text: RFC 3339 with a zone. A text without a zone is refused, never guessed.

use crate::definition::limits;

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No offset and no `Z`.
    Naive,
    /// Not of the form.
    Unreadable,
    /// Outside the years 1 to 9999.
    OutOfRange,
}

/// Microseconds since the epoch. Digits below a microsecond are cut off.
pub(super) fn parse(text: &str) -> Result<i64, Fault> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10).ok_or(Fault::Unreadable)?;
    if date[4] != b'-' || date[7] != b'-' {
        return Err(Fault::Unreadable);
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else {
        // A date alone has no zone either.
        return Err(if rest.is_empty() {
            Fault::Naive
        } else {
            Fault::Unreadable
        });
    };
    let (clock, rest) = rest.split_at_checked(8).ok_or(Fault::Unreadable)?;
    if clock[2] != b':' || clock[5] != b':' {
        return Err(Fault::Unreadable);
    }
    let (hour, minute, second) = (number(&clock[..2])?, number(&clock[3..5])?, number(&clock[6..])?);
    let valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return Err(Fault::Unreadable);
    }
    let (micros, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    in_range(seconds * 1_000_000 + micros)
}

/// An instant given as a number of microseconds.
pub(super) fn in_range(t: i64) -> Result<i64, Fault> {
    if (limits::INSTANTS.0..=limits::INSTANTS.1).contains(&t) {
        Ok(t)
    } else {
        Err(Fault::OutOfRange)
    }
}

fn number(digits: &[u8]) -> Result<i64, Fault> {
    digits.iter().try_fold(0, |value, digit| {
        if digit.is_ascii_digit() {
            Ok(value * 10 + i64::from(digit - b'0'))
        } else {
            Err(Fault::Unreadable)
        }
    })
}

fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let Some((b'.', rest)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(Fault::Unreadable);
    }
    let mut micros = number(&rest[..digits.min(6)])?;
    for _ in digits..6 {
        micros *= 10;
    }
    Ok((micros, &rest[digits..]))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Result<i64, Fault> {
    match zone {
        [] => Err(Fault::Naive),
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return Err(Fault::Unreadable);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(Fault::Unreadable),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_with_a_zone_are_read() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1970-01-01T00:00:00.1234567891Z", 123_456),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31 19:00:00-05:00", 0),
            ("2013-01-01T10:30:00.5z", 1_357_036_200_500_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ];
        for (text, t) in cases {
            assert_eq!(parse(text), Ok(t), "{text}");
        }
    }

    #[test]
    fn a_text_without_a_zone_is_naive() {
        for text in ["2013-01-01T10:30:00", "2013-01-01 10:30:00.25", "2013-01-01"] {
            assert_eq!(parse(text), Err(Fault::Naive), "{text}");
        }
    }

    #[test]
    fn anything_else_is_unreadable_or_out_of_range() {
        for text in [
            "",
            "today",
            "2013-13-01T00:00:00Z",
            "2013-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T00:00:60Z",
            "2013-01-01T00:00:00.Z",
            "2013-01-01T00:00:00+24:00",
            "2013-01-01T00:00Z",
            "2013-1-01T00:00:00Z",
            "2013-01-01T00:00:00ZZ",
            "2013-01-01X00:00:00Z",
            "２０13-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), Err(Fault::Unreadable), "{text}");
        }
        assert_eq!(parse("0001-01-01T00:00:00+01:00"), Err(Fault::OutOfRange));
    }
}
