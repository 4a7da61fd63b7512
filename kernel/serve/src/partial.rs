//! Requests that want all of their values or none.

use skewless_core::status::Status;
use tonic::Code;

use crate::answer::Cell;
use crate::refusal::Refusal;
use crate::vector::Vector;
use crate::wire::Reason;
use crate::wire::online::{GetOnlineFeaturesRequest, PartialResults};

/// Whether a value was not had, rather than that it is null, absent, too old or out of bounds.
fn is_missing(status: Status) -> bool {
    status.is_unknown() || status == Status::FunctionFailed
}

/// Whether the request is to be refused for one of these statuses, of which `tally` has the numbers by code.
pub(crate) fn is_refused(request: &GetOnlineFeaturesRequest, tally: &[u32]) -> bool {
    let missing = |status: &Status| is_missing(*status) && tally[usize::from(status.code())] > 0;
    request.partial_results() == PartialResults::Fail && Status::ALL.iter().any(missing)
}

/// The refusal, which names values that were not had. earliest: from when on all states can answer, if that is why.
pub(crate) fn refusal(vector: &Vector, rows: usize, cells: &[Cell], earliest: Option<i64>) -> Refusal {
    let mut statuses = Vec::new();
    let mut places = Vec::new();
    for (name, slot) in vector.features.iter().zip(&vector.outputs) {
        for (row, cell) in cells[slot * rows..(slot + 1) * rows].iter().enumerate() {
            if !is_missing(cell.status) {
                continue;
            }
            if !statuses.contains(&cell.status) {
                statuses.push(cell.status);
            }
            places.push((
                format!("columns[\"{name}\"].values[{row}]"),
                format!("is {}", name_of(cell.status)),
            ));
        }
    }
    let statuses: Vec<_> = statuses.into_iter().map(name_of).collect();
    let text = format!(
        "{} of {} values were not had ({}), and partial_results is FAIL; with STATUS the others are answered",
        places.len(),
        vector.outputs.len() * rows,
        statuses.join(", ")
    );
    let refusal = Refusal::new(Code::Unavailable, Reason::Incomplete, text)
        .places(places)
        .with("statuses", statuses.join(","));
    match earliest {
        Some(earliest) => refusal.with("earliest_answerable_us", earliest.to_string()),
        None => refusal,
    }
}

/// As the contract calls it.
fn name_of(status: Status) -> &'static str {
    match status {
        Status::NotAnswerable => "NOT_ANSWERABLE",
        Status::Rebuilding => "REBUILDING",
        Status::Unavailable => "UNAVAILABLE",
        Status::FunctionFailed => "FUNCTION_FAILED",
        Status::NotComputed => "NOT_COMPUTED",
        // The rest is no reason to refuse.
        _ => "answered",
    }
}
