//! Request ids: 26 characters of Crockford's base 32, ordered by time (a ULID).

use rand::Rng;
use rand::rngs::SmallRng;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The length of an id.
pub(crate) const LENGTH: usize = 26;

/// Makes ids: 48 bits of milliseconds, then 80 random bits seeded by the operating system.
#[derive(Debug)]
pub(crate) struct Ulids {
    random: SmallRng,
}

impl Ulids {
    /// A maker whose ids do not meet those of any other maker.
    pub(crate) fn new() -> Self {
        Self {
            random: rand::make_rng(),
        }
    }

    /// An id for this instant, in microseconds since 1970; earlier instants count as 1970.
    pub(crate) fn next(&mut self, now_us: i64) -> [u8; LENGTH] {
        let millis = u128::from(now_us.max(0).unsigned_abs() / 1_000) & ((1 << 48) - 1);
        let low = u128::from(self.random.next_u64());
        let high = u128::from(self.random.next_u32() & 0xffff);
        let mut bits = millis << 80 | high << 64 | low;
        let mut text = [0; LENGTH];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        text
    }
}

/// Whether this is the text of an id.
pub(crate) fn is_id(text: &str) -> bool {
    // The first character holds the three highest of 128 bits.
    text.len() == LENGTH && text.as_bytes()[0] <= b'7' && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_time_and_differ_within_it() {
        let mut ids = Ulids::new();
        let early = ids.next(1_700_000_000_000_000);
        let same = ids.next(1_700_000_000_000_000);
        let late = ids.next(1_700_000_000_001_000);
        assert_ne!(early, same);
        assert!(early < late && same < late);
        assert_eq!(&early[..10], &same[..10]);
    }

    #[test]
    fn an_id_is_recognised() {
        let id = Ulids::new().next(i64::MAX);
        assert!(is_id(std::str::from_utf8(&id).unwrap()));
        assert!(!is_id("01ARZ3NDEKTSV4RRFFQ69G5FA"));
        assert!(!is_id("01ARZ3NDEKTSV4RRFFQ69G5FAU"));
        assert!(!is_id("81ARZ3NDEKTSV4RRFFQ69G5FAV"));
        assert!(!is_id("01ARZ3NDEKTSV4RRFFQ69G5Fé"));
    }
}
