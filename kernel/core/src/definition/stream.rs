//! What window views and latest views over a stream have in common.

use super::limits;
use super::read::Reader;
use crate::expr::Expr;
use crate::fault::Fault;
use crate::schema::Schema;
use crate::value::Type;

/// How far horizons stay behind the writer's clock, and how large the state of one entity may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slacks {
    /// The fold horizon stays this far behind, microseconds.
    pub head: i64,
    /// The most events that are kept apart.
    pub head_max: usize,
    /// The most bytes of a state, head and body.
    pub state_limit: usize,
}

impl Slacks {
    pub(crate) fn read(at: &Reader<'_>) -> Option<Self> {
        let head = at.key("head_slack_us").int(0, limits::HEAD_SLACK);
        let head_max = at.key("head_max").int(1, limits::HEAD_MAX);
        let limit = at
            .key("state_limit_bytes")
            .int(limits::STATE_BYTES.0, limits::STATE_BYTES.1);
        Some(Self {
            head: head?,
            head_max: usize::try_from(head_max?).ok()?,
            state_limit: usize::try_from(limit?).ok()?,
        })
    }
}

/// The filter of a view: a boolean expression of an event alone.
// Outer: whether it could be read; inner: whether there is one.
#[allow(clippy::option_option)]
pub(crate) fn read_filter(at: &Reader<'_>, columns: &Schema) -> Option<Option<Expr>> {
    if at.json.is_null() {
        return Some(None);
    }
    let expr = match Expr::compile(at.json, columns) {
        Ok(expr) => expr,
        Err(faults) => {
            for fault in faults {
                at.add(fault.below(&at.path));
            }
            return None;
        }
    };
    if expr.result_type() != Type::Bool {
        at.add(Fault::new(
            at.path.clone(),
            "TYPE_MISMATCH",
            format!("a filter gives bool, this gives {}", expr.result_type()),
        ));
        return None;
    }
    if expr.uses_request_time() {
        at.add(Fault::new(
            at.path.clone(),
            "FILTER_USES_REQUEST_TIME",
            "a filter is a function of the event alone; compare with the request time in an on-demand view",
        ));
        return None;
    }
    Some(Some(expr))
}
