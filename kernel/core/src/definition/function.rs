//! Python functions as on-demand features: which function, from which source, over what, within which time.
//!
//! The document names the function and pins its source by a hash. It never holds text that would be run.

use super::limits;
use super::read::{Reader, refuse_duplicates};
use crate::schema::Schema;

/// The argument that is the request time, in microseconds.
const REQUEST_TIME: &str = "request_time_us";

/// A Python function that services import from what is installed with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The dotted name of the module.
    pub module: String,
    /// The function's name in the module.
    pub name: String,
    /// SHA-256 of the module's source file.
    pub source: [u8; 32],
    /// In the order of the call, each by its parameter's name.
    pub arguments: Vec<(String, Argument)>,
    /// How long the call for one row may take, in microseconds.
    pub budget_us: i64,
    /// The places of the columns among the arguments; ascending.
    pub(super) columns: Vec<usize>,
}

/// What a parameter gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A request field or an input, by its place in the view's row.
    Column(usize),
    /// The request time in microseconds.
    RequestTime,
}

impl Function {
    pub(super) fn read(at: &Reader<'_>, row: &Schema) -> Option<Self> {
        at.keys(&["module", "name", "source", "arguments", "budget_us"])?;
        let module = read_module(&at.key("module"));
        let name = read_identifier(&at.key("name"));
        let source = at.key("source").meaning();
        let (least, most) = limits::FUNCTION_BUDGET;
        let budget_us = at.key("budget_us").int(least, most);
        let arguments = read_arguments(&at.key("arguments"), row)?;
        let mut columns: Vec<usize> = arguments
            .iter()
            .filter_map(|(_, argument)| match argument {
                Argument::Column(place) => Some(*place),
                Argument::RequestTime => None,
            })
            .collect();
        columns.sort_unstable();
        Some(Self {
            module: module?,
            name: name?,
            source: source?,
            arguments,
            budget_us: budget_us?,
            columns,
        })
    }
}

fn read_arguments(at: &Reader<'_>, row: &Schema) -> Option<Vec<(String, Argument)>> {
    let list = at.list(0, limits::COLUMNS)?;
    let read: Vec<Option<(String, Argument)>> = list.iter().map(|item| read_argument(item, row)).collect();
    let arguments: Vec<(String, Argument)> = read.into_iter().collect::<Option<_>>()?;
    refuse_duplicates(
        at,
        "name",
        arguments.iter().map(|(name, _)| name.as_str()).enumerate(),
    );
    Some(arguments)
}

fn read_argument(at: &Reader<'_>, row: &Schema) -> Option<(String, Argument)> {
    let name = at.text()?;
    let column = row.place(name);
    let argument = match (name, column) {
        (REQUEST_TIME, Some(_)) => {
            return at.fault(
                "DUPLICATE_NAME",
                format!("{REQUEST_TIME} is the request time to a Python function; rename the column"),
            );
        }
        (REQUEST_TIME, None) => Argument::RequestTime,
        (_, Some(place)) => Argument::Column(place),
        (_, None) => {
            return at.fault(
                "UNKNOWN_COLUMN",
                format!("{name:?} is no request field and no input of the view, nor {REQUEST_TIME}"),
            );
        }
    };
    Some((name.to_owned(), argument))
}

fn read_module(at: &Reader<'_>) -> Option<String> {
    let text = at.text()?;
    if text.len() <= limits::MODULE_NAME_LENGTH && text.split('.').all(is_identifier) {
        return Some(text.to_owned());
    }
    at.fault(
        "BAD_NAME",
        format!(
            "{text:?} is no module: names joined by dots, at most {} characters",
            limits::MODULE_NAME_LENGTH
        ),
    )
}

fn read_identifier(at: &Reader<'_>) -> Option<String> {
    let text = at.text()?;
    if is_identifier(text) {
        return Some(text.to_owned());
    }
    at.fault(
        "BAD_NAME",
        format!("{text:?} is no function of a module: letters, digits and underscores, not a digit first"),
    )
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.len() <= limits::MODULE_NAME_LENGTH
        && text
            .chars()
            .all(|next| next.is_ascii_alphanumeric() || next == '_')
}
