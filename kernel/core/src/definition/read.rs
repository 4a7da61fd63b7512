//! Walking a JSON document and gathering every fault on the way.

use std::cell::RefCell;

use serde_json::Value as Json;

use super::limits;
use crate::decimal::Decimal;
use crate::fault::Fault;
use crate::value::Type;

/// A place in a document. Every reading method adds a fault and gives `None` when the document is not as asked.
pub(crate) struct Reader<'a> {
    /// The JSON at this place.
    pub(crate) json: &'a Json,
    /// Where this is, as a JSON path.
    pub(crate) path: String,
    faults: &'a RefCell<Vec<Fault>>,
}

static NULL: Json = Json::Null;

impl<'a> Reader<'a> {
    pub(crate) fn root(json: &'a Json, faults: &'a RefCell<Vec<Fault>>) -> Self {
        Self {
            json,
            path: "$".into(),
            faults,
        }
    }

    fn at(&self, json: &'a Json, path: String) -> Self {
        Self {
            json,
            path,
            faults: self.faults,
        }
    }

    /// The value of a key; null where it is missing (told by [`Reader::keys`]).
    pub(crate) fn key(&self, name: &str) -> Self {
        self.at(
            self.json.get(name).unwrap_or(&NULL),
            format!("{}.{name}", self.path),
        )
    }

    /// This place, or nothing where the document has null.
    pub(crate) fn present(self) -> Option<Self> {
        (!self.json.is_null()).then_some(self)
    }

    pub(crate) fn fault<T>(&self, reason: &'static str, message: impl Into<String>) -> Option<T> {
        self.add(Fault::new(self.path.clone(), reason, message));
        None
    }

    pub(crate) fn add(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Checks that this is an object with exactly these keys.
    pub(crate) fn keys(&self, wanted: &[&str]) -> Option<()> {
        let Some(object) = self.json.as_object() else {
            return self.fault(
                "WRONG_TYPE",
                format!("must be an object with the keys {}", wanted.join(", ")),
            );
        };
        let mut right = true;
        for name in wanted {
            if !object.contains_key(*name) {
                right = false;
                self.key(name)
                    .fault::<()>("MISSING_KEY", "the key must be there; write null for \"none\"");
            }
        }
        for name in object.keys().filter(|name| !wanted.contains(&name.as_str())) {
            right = false;
            self.key(name).fault::<()>(
                "UNKNOWN_KEY",
                format!("the key is not known; known are {}", wanted.join(", ")),
            );
        }
        right.then_some(())
    }

    /// The elements of a list of `least..=most`.
    pub(crate) fn list(&self, least: usize, most: usize) -> Option<Vec<Self>> {
        let Some(items) = self.json.as_array() else {
            return self.fault("WRONG_TYPE", "must be a list");
        };
        if items.len() < least || items.len() > most {
            return self.fault(
                "WRONG_COUNT",
                format!("must have {least} to {most} elements, has {}", items.len()),
            );
        }
        Some(
            items
                .iter()
                .enumerate()
                .map(|(place, json)| self.at(json, format!("{}[{place}]", self.path)))
                .collect(),
        )
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.json.as_str() {
            Some(text) => Some(text),
            None => self.fault("WRONG_TYPE", "must be a string"),
        }
    }

    /// A name: a letter, then letters, digits and single underscores.
    pub(crate) fn name(&self) -> Option<String> {
        let text = self.text()?;
        let mut characters = text.chars();
        let starts = characters.next().is_some_and(|first| first.is_ascii_alphabetic());
        let goes_on = characters.all(|next| next.is_ascii_alphanumeric() || next == '_');
        if starts && goes_on && text.len() <= limits::NAME_LENGTH && !text.contains("__") {
            return Some(text.to_owned());
        }
        self.fault(
            "BAD_NAME",
            format!(
                "{text:?} is no name: begin with a letter, go on with letters, digits and single underscores, at \
                 most {} characters",
                limits::NAME_LENGTH
            ),
        )
    }

    /// The name of a column: a letter or underscore, then letters, digits and underscores.
    pub(crate) fn column_name(&self) -> Option<String> {
        let text = self.text()?;
        let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let goes_on = text
            .chars()
            .all(|next| next.is_ascii_alphanumeric() || next == '_');
        if starts && goes_on && text.len() <= limits::NAME_LENGTH {
            return Some(text.to_owned());
        }
        self.fault(
            "BAD_NAME",
            format!(
                "{text:?} is no column name: letters, digits and underscores, not a digit first, at most {} characters",
                limits::NAME_LENGTH
            ),
        )
    }

    pub(crate) fn int(&self, least: i64, most: i64) -> Option<i64> {
        let Some(integer) = self.json.as_i64() else {
            return self.fault("WRONG_TYPE", "must be an integer");
        };
        if integer < least || integer > most {
            return self.fault(
                "OUT_OF_RANGE",
                format!("must lie from {least} to {most}, is {integer}"),
            );
        }
        Some(integer)
    }

    /// A 64-bit integer in its one decimal spelling, as a string; absent for anything else.
    pub(crate) fn decimal(&self) -> Option<i64> {
        let text = self.json.as_str()?;
        text.parse::<i64>().ok().filter(|value| value.to_string() == text)
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.json.as_bool() {
            Some(flag) => Some(flag),
            None => self.fault("WRONG_TYPE", "must be true or false"),
        }
    }

    /// The type of a single value.
    pub(crate) fn kind(&self) -> Option<Type> {
        let name = self.text()?;
        match Type::from_name(name).filter(|kind| kind.is_scalar()) {
            Some(kind) => Some(kind),
            None if Type::from_name(name).is_some() => self.fault(
                "UNSUPPORTED_TYPE",
                format!("{name} is no type of a source's column or of a key; lists stand in window features and on-demand views"),
            ),
            None => match Decimal::from_name(name) {
                Some(Err(why)) => self.fault("UNSUPPORTED_TYPE", why),
                _ => self.fault(
                    "UNKNOWN_TYPE",
                    format!(
                        "{name:?} is no type; there are int64, float64, bool, string, timestamp, decimal(P,S)"
                    ),
                ),
            },
        }
    }

    /// The type of a feature's value: that of a single one, or of a list.
    pub(crate) fn feature_kind(&self) -> Option<Type> {
        let list = self.json.as_str().and_then(Type::from_name);
        list.or_else(|| self.kind())
    }

    /// A meaning hash: 64 lower-case hexadecimal digits.
    pub(crate) fn meaning(&self) -> Option<[u8; 32]> {
        let text = self.text()?;
        match unhex(text) {
            Some(hash) => Some(hash),
            None => self.fault("BAD_HASH", "must be 64 lower-case hexadecimal digits"),
        }
    }

    /// A full version, `MAJOR.MINOR.PATCH`.
    pub(crate) fn version(&self) -> Option<String> {
        let text = self.text()?;
        if crate::keys::storage_version(text).is_some() {
            return Some(text.to_owned());
        }
        self.fault(
            "BAD_VERSION",
            format!("{text:?} is no version; write MAJOR.MINOR.PATCH, for instance 1.0.0"),
        )
    }
}

/// Adds a fault for every name that stands in the list a second time.
pub(crate) fn refuse_duplicates<'a>(
    list: &Reader<'_>,
    key: &str,
    names: impl IntoIterator<Item = (usize, &'a str)>,
) {
    let mut seen = std::collections::HashSet::new();
    for (place, name) in names {
        if !seen.insert(name) {
            list.add(Fault::new(
                format!("{}[{place}].{key}", list.path),
                "DUPLICATE_NAME",
                format!("{name:?} stands here a second time; names must differ"),
            ));
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64
        || !digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    let mut hash = [0; 32];
    for (place, pair) in digits.chunks_exact(2).enumerate() {
        let nibble = |digit: u8| {
            if digit.is_ascii_digit() {
                digit - b'0'
            } else {
                digit - b'a' + 10
            }
        };
        hash[place] = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    Some(hash)
}
