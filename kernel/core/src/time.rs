//! Hops: the grid on which windows open.
//!
//! Instants are microseconds since the Unix epoch in UTC; widths and hops are microseconds.

use std::fmt;

/// One second in microseconds.
pub const SECOND: i64 = 1_000_000;
/// One minute in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in microseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in microseconds.
pub const DAY: i64 = 24 * HOUR;

/// Where the grid starts when a definition names no origin: 1970-01-05T00:00Z, a Monday.
pub const DEFAULT_ORIGIN: i64 = 4 * DAY;

/// The hops a window may have, finest first; each divides the next.
pub const HOP_LADDER: [i64; 8] = [
    SECOND,
    10 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
];

/// How many hops a window holds at least when its hop is chosen for it.
pub const LEAST_HOPS: i64 = 48;

/// Why an instant could not be placed on a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeError {
    /// The hop is zero or negative.
    HopNotPositive {
        /// The hop as given.
        hop: i64,
    },
    /// The answer lies outside 64-bit microseconds.
    OutOfRange {
        /// The instant as given.
        t: i64,
        /// The hop as given.
        hop: i64,
        /// The origin as given.
        origin: i64,
    },
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HopNotPositive { hop } => {
                write!(f, "hop must be a positive number of microseconds, got {hop}")
            }
            Self::OutOfRange { t, hop, origin } => write!(
                f,
                "the hop below instant {t} (hop {hop}, origin {origin}) lies outside 64-bit microseconds"
            ),
        }
    }
}

impl std::error::Error for TimeError {}

/// The latest instant `origin + n * hop` that is not after `t`.
///
/// Rounds towards the past on both sides of the origin, so that hops before 1970 are as wide as those after.
pub fn floor_to_hop(t: i64, hop: i64, origin: i64) -> Result<i64, TimeError> {
    if hop <= 0 {
        return Err(TimeError::HopNotPositive { hop });
    }
    if let Some(since) = t.checked_sub(origin) {
        let floor = t.checked_sub(since.rem_euclid(hop));
        return floor.ok_or(TimeError::OutOfRange { t, hop, origin });
    }
    // In 128 bits where `t - origin` overflows but the answer itself may be representable.
    let past = (i128::from(t) - i128::from(origin)).rem_euclid(i128::from(hop));
    i64::try_from(i128::from(t) - past).map_err(|_| TimeError::OutOfRange { t, hop, origin })
}

/// The hop of a window of this width when its definition names none: the largest hop of the ladder that
/// divides the width and is at most a forty-eighth of it.
///
/// `None` if no hop does; the definition must then choose another width or ask for no hop at all.
pub fn default_hop(width: i64) -> Option<i64> {
    hop_dividing(width, 0, LEAST_HOPS)
}

/// The largest hop of the ladder that divides the width and the lag, and goes at least so many times into the width.
pub fn hop_dividing(width: i64, lag: i64, least_hops: i64) -> Option<i64> {
    HOP_LADDER
        .into_iter()
        .rev()
        .find(|hop| width > 0 && width % hop == 0 && lag % hop == 0 && *hop <= width / least_hops.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_on_the_grid_stays() {
        assert_eq!(floor_to_hop(3 * HOUR, HOUR, 0), Ok(3 * HOUR));
    }

    #[test]
    fn an_instant_between_hops_goes_to_the_past() {
        assert_eq!(floor_to_hop(3 * HOUR + 1, HOUR, 0), Ok(3 * HOUR));
        assert_eq!(floor_to_hop(4 * HOUR - 1, HOUR, 0), Ok(3 * HOUR));
    }

    #[test]
    fn before_the_origin_it_still_goes_to_the_past() {
        assert_eq!(floor_to_hop(-1, HOUR, 0), Ok(-HOUR));
        assert_eq!(floor_to_hop(-HOUR, HOUR, 0), Ok(-HOUR));
    }

    #[test]
    fn the_origin_moves_the_grid() {
        assert_eq!(floor_to_hop(HOUR, HOUR, 10 * MINUTE), Ok(10 * MINUTE));
        assert_eq!(floor_to_hop(0, HOUR, 10 * MINUTE), Ok(-50 * MINUTE));
        assert_eq!(floor_to_hop(0, HOUR, 25 * HOUR), Ok(0));
    }

    #[test]
    fn extreme_instants_are_placed_or_refused_never_wrapped() {
        assert_eq!(floor_to_hop(i64::MAX, 1, i64::MIN), Ok(i64::MAX));
        assert_eq!(floor_to_hop(i64::MIN, 1, i64::MAX), Ok(i64::MIN));
        assert_eq!(
            floor_to_hop(i64::MIN, DAY, 0),
            Err(TimeError::OutOfRange {
                t: i64::MIN,
                hop: DAY,
                origin: 0
            })
        );
    }

    #[test]
    fn a_hop_that_is_no_hop_is_refused() {
        assert_eq!(floor_to_hop(5, 0, 0), Err(TimeError::HopNotPositive { hop: 0 }));
        assert_eq!(floor_to_hop(5, -1, 0), Err(TimeError::HopNotPositive { hop: -1 }));
    }

    #[test]
    fn each_hop_of_the_ladder_divides_the_next() {
        assert!(
            HOP_LADDER
                .windows(2)
                .all(|pair| pair[1] % pair[0] == 0 && pair[1] > pair[0])
        );
    }

    #[test]
    fn the_default_hop_is_fine_enough_and_divides_the_width() {
        let cases = [
            (MINUTE, Some(SECOND)),
            (HOUR, Some(MINUTE)),
            (6 * HOUR, Some(5 * MINUTE)),
            (DAY, Some(15 * MINUTE)),
            (7 * DAY, Some(HOUR)),
            (30 * DAY, Some(6 * HOUR)),
            (90 * DAY, Some(DAY)),
            (49 * SECOND, Some(SECOND)),
            (47 * SECOND, None),
            (MINUTE + 1, None),
            (0, None),
            (-HOUR, None),
        ];
        for (width, hop) in cases {
            assert_eq!(default_hop(width), hop, "width {width}");
        }
    }
}
