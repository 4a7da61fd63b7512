//! The JSON form of a plan.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fault::Fault;

/// A plan as it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanDocument {
    pub(super) revision: u64,
    pub(super) projects: BTreeMap<String, ProjectDocument>,
}

/// A project as it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectDocument {
    pub(super) views: Vec<Pinned>,
    pub(super) services: Vec<Pinned>,
}

/// A version with its meaning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    /// `MAJOR.MINOR.PATCH`.
    pub(super) version: String,
    /// The canonical meaning document, as text: exactly the bytes that are hashed.
    pub(super) meaning: String,
}

pub(super) fn read(json: &[u8]) -> Result<PlanDocument, Vec<Fault>> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!(
            "the plan is not {{\"revision\",\"projects\":{{name:{{\"views\",\"services\"}}}}}} with lists of \
             {{\"version\",\"meaning\"}}, both texts: {error}"
        );
        vec![Fault::new("$", "MALFORMED_PLAN", message)]
    })
}
