//! The hash slots of a store cluster, and the sentinel of a view in each of them.
//!
//! A cluster spreads keys over 16,384 slots and slots over primaries, between which they may move. What a primary
//! has lost shows only in its own slots, so every slot holds a sentinel of its own there.

use crc::{CRC_16_XMODEM, Crc, Table};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

static CRC: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_XMODEM);

/// The slot of a key, by the cluster specification of Redis and Valkey: CRC-16/XMODEM, modulo the slots, of what
/// stands between the first `{` and the `}` after it, or of the whole key if nothing does.
pub fn slot(key: &[u8]) -> u16 {
    let tagged = || {
        let open = key.iter().position(|&byte| byte == b'{')? + 1;
        let length = key[open..].iter().position(|&byte| byte == b'}')?;
        (length > 0).then(|| &key[open..open + length])
    };
    CRC.checksum(tagged().unwrap_or(key)) % SLOTS
}

/// Per slot a text that lies in it: the smallest number whose decimal digits do.
pub fn tags() -> Vec<String> {
    let mut tags = vec![String::new(); usize::from(SLOTS)];
    let mut missing = tags.len();
    for number in 0_u32.. {
        if missing == 0 {
            break;
        }
        let text = number.to_string();
        let place = &mut tags[usize::from(slot(text.as_bytes()))];
        if place.is_empty() {
            *place = text;
            missing -= 1;
        }
    }
    tags
}

/// The key of a view's sentinel in the slot of a tag, where [`sentinel_key`](crate::keys::sentinel_key) is its key in
/// a store without slots.
pub fn sentinel_in(tag: &str, sentinel_key: &str) -> String {
    format!("{{{tag}}}:{sentinel_key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // CLUSTER KEYSLOT of the store.
        for (key, wanted) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{user1000}.following", 3_443),
            ("{user1000}.followers", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
            ("", 0),
        ] {
            assert_eq!(slot(key.as_bytes()), wanted, "{key}");
        }
    }

    #[test]
    fn every_slot_has_a_tag_of_its_own() {
        let tags = tags();
        for (place, tag) in tags.iter().enumerate() {
            assert_eq!(usize::from(slot(tag.as_bytes())), place);
            assert_eq!(
                usize::from(slot(sentinel_in(tag, "skewless:sentinel:p:v:v1.0").as_bytes())),
                place
            );
        }
        assert_eq!(tags[usize::from(slot(b"0"))], "0");
    }
}
