//! How a source tells its retractions: by the value of a column that every record has.

use super::limits;
use super::read::Reader;
use super::source::read_column;
use crate::schema::Schema;
use crate::value::{Type, Value};

/// The column of a source that says whether a record adds what it holds or takes it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The place of the column in a row.
    pub column: usize,
    inserts: Vec<Value>,
    retracts: Vec<Value>,
}

impl Operation {
    pub(super) fn read(at: &Reader<'_>, columns: &Schema) -> Option<Self> {
        at.keys(&["column", "inserts", "retracts"])?;
        let place = at.key("column");
        let column = read_column(&place, columns)?;
        let declared = &columns.columns()[column];
        if !matches!(declared.kind, Type::String | Type::Bool) {
            return place.fault(
                "TYPE_MISMATCH",
                format!(
                    "the column has type {}, an operation must be string or bool",
                    declared.kind
                ),
            );
        }
        if declared.nullable {
            return place.fault(
                "NULLABLE_OPERATION",
                "each record must say what it does: declare the column non-null",
            );
        }
        let inserts = read_values(&at.key("inserts"), declared.kind);
        let retracts = read_values(&at.key("retracts"), declared.kind);
        let own = Self {
            column,
            inserts: inserts?,
            retracts: retracts?,
        };
        for (list, values, before) in [
            ("inserts", &own.inserts, &[][..]),
            ("retracts", &own.retracts, &own.inserts[..]),
        ] {
            for (place, value) in values.iter().enumerate() {
                if before.contains(value) || values[..place].contains(value) {
                    return at.key(list).fault(
                        "DUPLICATE_VALUE",
                        format!("a value stands once in one of the lists, and {value:?} stands twice"),
                    );
                }
            }
        }
        Some(own)
    }

    /// Whether a cell of the column is one of the declared values.
    pub fn knows(&self, cell: &Value) -> bool {
        self.inserts.contains(cell) || self.retracts.contains(cell)
    }

    /// Whether a record with this cell takes back what it holds.
    pub fn retracts(&self, cell: &Value) -> bool {
        self.retracts.contains(cell)
    }
}

fn read_values(at: &Reader<'_>, kind: Type) -> Option<Vec<Value>> {
    let list = at.list(1, limits::OPERATION_VALUES)?;
    let values = list.iter().map(|item| match kind {
        Type::Bool => item.boolean().map(Value::Bool),
        _ => item.text().map(Value::from),
    });
    let values: Vec<Option<Value>> = values.collect();
    values.into_iter().collect()
}
