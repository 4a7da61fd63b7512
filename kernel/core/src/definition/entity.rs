//! Entities: what features are about, and how one is named.

use super::limits;
use super::read::{Reader, refuse_duplicates};
use crate::value::Type;

/// A type of entity with its key columns in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Unique within the project.
    pub name: String,
    /// The columns that name one entity, in the order of the canonical id.
    pub keys: Vec<EntityKey>,
}

/// One key column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityKey {
    /// The column's name in sources and requests.
    pub name: String,
    /// [`Type::String`] or [`Type::Int64`].
    pub kind: Type,
}

impl Entity {
    pub(crate) fn read(at: &Reader<'_>) -> Option<Self> {
        at.keys(&["name", "keys"])?;
        Self::read_parts(&at.key("name"), &at.key("keys"))
    }

    pub(crate) fn read_parts(name: &Reader<'_>, keys: &Reader<'_>) -> Option<Self> {
        let name = name.name();
        let list = keys.list(1, limits::ENTITY_KEYS)?;
        let read: Vec<Option<EntityKey>> = list.iter().map(EntityKey::read).collect();
        let read: Vec<EntityKey> = read.into_iter().collect::<Option<_>>()?;
        refuse_duplicates(keys, "name", read.iter().map(|key| key.name.as_str()).enumerate());
        Some(Self {
            name: name?,
            keys: read,
        })
    }
}

impl EntityKey {
    fn read(at: &Reader<'_>) -> Option<Self> {
        at.keys(&["name", "type"])?;
        let (name, kind) = (at.key("name").column_name(), at.key("type").kind());
        let kind = match kind? {
            kind @ (Type::String | Type::Int64) => kind,
            other => {
                return at.key("type").fault(
                    "KEY_TYPE",
                    format!("a key of type {other} has no canonical text; use string or int64"),
                );
            }
        };
        Some(Self { name: name?, kind })
    }
}
