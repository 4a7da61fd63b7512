//! Exact sums: fixed point so wide that fewer than 2^48 events cannot overflow it, rounded once at the end.
//!
//! Doubles are taken at the scale 2^-64 (`fixed`), added in 192 bits and their squares in 320 bits (`wide`);
//! a mean, a variance is an exact ratio that is rounded once to the nearest double, ties to even (`round`).
//! Integers take the same road at the scale 1.

mod bins;
mod estimate;
mod fixed;
mod moments;
mod round;
mod wide;

pub use bins::{Bins, Grid, WHOLE};
pub use estimate::{HIGHEST_RANK, estimate, register_of};
pub use fixed::{SCALE_BITS, fits_fixed, to_fixed};
pub use moments::{MOST_EVENTS, Moments, Scale, Spread, signed, unsigned};
pub use round::round_ratio;
pub use wide::Wide;
