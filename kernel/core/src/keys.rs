//! Keys: the canonical text of an entity, where its states lie, and which partition is its own.

use std::fmt;

use crate::definition::limits::LONGEST_STRING;

/// The longest text that stands in an entity id as it is, in bytes, before encoding; of a longer one the hash does.
pub const LONGEST_PLAIN: usize = 96;
/// The longest text of a key, in bytes.
pub const LONGEST_PART: usize = LONGEST_STRING;
/// Keeps hashes of parts apart from all other BLAKE3 hashes. Public: it hides nothing.
const PART_KEY: &[u8; 32] = b"skewless entity id part, law K3.";

/// One part of an entity's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart<'a> {
    /// A string key column.
    Text(&'a str),
    /// An integer key column.
    Int(i64),
}

/// Why there is no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// An entity has at least one key part.
    NoParts,
    /// A string part is longer than [`LONGEST_PART`] bytes.
    PartTooLong {
        /// Which part, from zero.
        part: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// The version is not `MAJOR.MINOR.PATCH` or `MAJOR.MINOR`.
    BadVersion {
        /// The text as given.
        version: String,
    },
    /// There must be at least one partition.
    NoPartitions,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParts => f.write_str("an entity id has at least one part"),
            Self::PartTooLong { part, bytes } => write!(
                f,
                "part {part} of the entity id has {bytes} bytes, at most {LONGEST_PART} are allowed; \
                 use a shorter key"
            ),
            Self::BadVersion { version } => {
                write!(
                    f,
                    "{version:?} is no version; write MAJOR.MINOR.PATCH, for instance 1.0.0"
                )
            }
            Self::NoPartitions => f.write_str("a log has at least one partition"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The canonical text of an entity: its parts in declared order, joined by commas.
pub fn entity_id(parts: &[KeyPart<'_>]) -> Result<String, KeyError> {
    if parts.is_empty() {
        return Err(KeyError::NoParts);
    }
    let mut id = String::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            id.push(',');
        }
        match part {
            KeyPart::Int(integer) => {
                id.push_str("i.");
                id.push_str(&integer.to_string());
            }
            KeyPart::Text(text) if text.len() > LONGEST_PART => {
                return Err(KeyError::PartTooLong {
                    part: place,
                    bytes: text.len(),
                });
            }
            KeyPart::Text(text) if text.len() > LONGEST_PLAIN => {
                id.push_str("h.");
                id.push_str(&blake3::keyed_hash(PART_KEY, text.as_bytes()).to_hex());
            }
            KeyPart::Text(text) => {
                id.push_str("s.");
                percent_encode(text, &mut id);
            }
        }
    }
    Ok(id)
}

fn percent_encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The `MAJOR.MINOR` of a version: what keys and directories are named by. `None` if it is no version.
pub fn storage_version(version: &str) -> Option<&str> {
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number = |text: &&str| {
        (1..=6).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'))
    };
    if !(2..=3).contains(&numbers.len()) || !numbers.iter().all(is_number) {
        return None;
    }
    Some(&version[..numbers[0].len() + 1 + numbers[1].len()])
}

/// The key of an entity's state (the head of a window state); its body has `:b` behind it.
///
/// The braces keep all states of an entity in one cluster slot.
pub fn state_key(
    project: &str,
    entity: &str,
    entity_id: &str,
    view: &str,
    version: &str,
) -> Result<String, KeyError> {
    let storage = storage_version(version).ok_or_else(|| KeyError::BadVersion {
        version: version.to_owned(),
    })?;
    Ok(format!("{{{project}:{entity}:{entity_id}}}:{view}:v{storage}"))
}

/// The key of the body that belongs to a head key.
pub fn body_key(head_key: &str) -> String {
    format!("{head_key}:b")
}

/// The key whose presence says that the store has all states of a view version; its value is the meaning's
/// hash in hexadecimal.
pub fn sentinel_key(project: &str, view: &str, version: &str) -> Result<String, KeyError> {
    let storage = storage_version(version).ok_or_else(|| KeyError::BadVersion {
        version: version.to_owned(),
    })?;
    Ok(format!("skewless:sentinel:{project}:{view}:v{storage}"))
}

/// The partition of an entity in a log that the product partitions itself: BLAKE3 of the id, the first eight
/// bytes as a big-endian number, modulo the count of partitions.
pub fn partition_of(entity_id: &str, partitions: u32) -> Result<u32, KeyError> {
    if partitions == 0 {
        return Err(KeyError::NoPartitions);
    }
    let hash = blake3::hash(entity_id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // Below `partitions`, so it fits.
    #[allow(clippy::cast_possible_truncation)]
    let partition = (u64::from_be_bytes(first) % u64::from(partitions)) as u32;
    Ok(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_canonical() {
        assert_eq!(entity_id(&[KeyPart::Text("JFK")]).unwrap(), "s.JFK");
        assert_eq!(
            entity_id(&[KeyPart::Int(-7), KeyPart::Text("a b,c%é")]).unwrap(),
            "i.-7,s.a%20b%2Cc%25%C3%A9"
        );
        assert_eq!(entity_id(&[KeyPart::Text("")]).unwrap(), "s.");
        assert_eq!(entity_id(&[]), Err(KeyError::NoParts));
        let long = "x".repeat(4_097);
        assert_eq!(
            entity_id(&[KeyPart::Int(1), KeyPart::Text(&long)]),
            Err(KeyError::PartTooLong {
                part: 1,
                bytes: 4_097
            })
        );
    }

    #[test]
    fn a_long_text_is_named_by_its_hash() {
        let id = |text: &str| entity_id(&[KeyPart::Text(text), KeyPart::Int(7)]).unwrap();
        assert_eq!(id(&"x".repeat(96)), format!("s.{},i.7", "x".repeat(96)));
        let long = id(&"x".repeat(97));
        assert!(long.starts_with("h.") && long.ends_with(",i.7"), "{long}");
        assert_eq!(long.len(), 2 + 64 + 4);
        assert_ne!(long, id(&"x".repeat(98)));
        // A text that looks like a hash is still a text.
        assert!(id(&long[..66]).starts_with("s.h."));
    }

    #[test]
    fn keys_name_the_storage_version() {
        assert_eq!(
            state_key("flights", "origin", "s.JFK", "departures", "1.2.3").unwrap(),
            "{flights:origin:s.JFK}:departures:v1.2"
        );
        assert_eq!(
            sentinel_key("flights", "departures", "1.2.3").unwrap(),
            "skewless:sentinel:flights:departures:v1.2"
        );
        for version in ["1", "1.2.3.4", "01.2.3", "1..2", "a.b.c", "1.2.1234567", ""] {
            assert!(state_key("p", "e", "s.x", "v", version).is_err(), "{version}");
        }
        assert_eq!(storage_version("1.20"), Some("1.20"));
    }

    #[test]
    fn every_partition_is_in_range_and_the_hash_is_pinned() {
        assert_eq!(partition_of("s.JFK", 0), Err(KeyError::NoPartitions));
        assert!((0..200).all(|n| partition_of(&format!("i.{n}"), 7).unwrap() < 7));
        let hash = blake3::hash(b"s.JFK");
        assert_eq!(partition_of("s.JFK", 1 << 30).unwrap(), {
            let text = hash.to_hex();
            let first = u64::from_str_radix(&text[..16], 16).unwrap();
            u32::try_from(first % (1 << 30)).unwrap()
        });
    }
}
