//! Columns by name and place.

use std::collections::HashMap;

use crate::value::Type;

/// One column of a source, a request or an expression's inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Unique within its schema.
    pub name: String,
    /// The type of its cells.
    pub kind: Type,
    /// Whether a cell may be null.
    pub nullable: bool,
}

/// An ordered set of columns; a row is a slice of values in this order.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    columns: Vec<Column>,
    places: HashMap<String, usize>,
}

impl Schema {
    /// The schema of these columns. Of two columns of one name the first is found; callers refuse duplicates.
    pub fn new(columns: Vec<Column>) -> Self {
        let mut places = HashMap::with_capacity(columns.len());
        for (place, column) in columns.iter().enumerate() {
            places.entry(column.name.clone()).or_insert(place);
        }
        Self { columns, places }
    }

    /// All columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where the column of this name stands in a row.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The column of this name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.place(name).map(|place| &self.columns[place])
    }

    /// How many columns a row has.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_name() {
        let column = |name: &str| Column {
            name: name.into(),
            kind: Type::Int64,
            nullable: false,
        };
        let schema = Schema::new(vec![column("a"), column("b")]);
        assert_eq!(schema.place("b"), Some(1));
        assert_eq!(schema.get("a").map(|c| c.kind), Some(Type::Int64));
        assert!(schema.get("c").is_none());
    }
}
