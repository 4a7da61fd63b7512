//! Definitions: meaning documents become compiled views, or a list of everything that is wrong with them.
//!
//! Steps: bytes → canonical JSON (`canonical`) → read field by field with paths (`read`) → compiled views
//! (`window`, `latest`, `on_demand`, `service`), whose parts are `entity`, `source`, `operation`, `aggregation`.

mod aggregation;
pub mod canonical;
mod edges;
mod entity;
mod function;
mod latest;
pub mod limits;
mod on_demand;
mod operation;
mod payload;
mod read;
mod service;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod window;

use std::cell::RefCell;

use serde_json::Value as Json;

pub use aggregation::{Aggregation, Algebra, Empty, Keeps, LAWS, Law, Limit};
pub use entity::{Entity, EntityKey};
pub use function::{Argument, Function};
pub use latest::{LatestFeature, LatestView};
pub use on_demand::{Compute, FeatureRef, Input, OnDemandFeature, OnDemandView};
pub use operation::Operation;
pub use payload::{Payload, Protobuf, ProtobufField, ProtobufType};
pub use service::FeatureService;
pub use source::{BatchSource, Source, StreamSource};
pub use stream::Slacks;
pub use window::{Condition, Quantile, WindowFeature, WindowView};

use crate::fault::Fault;
use read::Reader;

/// The form of meaning documents that this kernel reads.
pub const FORMAT: i64 = 1;

/// A compiled definition.
#[derive(Debug)]
// Views are kept behind pointers by whoever keeps many.
#[allow(clippy::large_enum_variant)]
pub enum Definition {
    /// A type of entity.
    Entity(Entity),
    /// A source of events or rows.
    Source(Source),
    /// Aggregates over windows.
    Window(WindowView),
    /// The newest row.
    Latest(LatestView),
    /// Expressions at request time.
    OnDemand(OnDemandView),
    /// A vector of features.
    Service(FeatureService),
}

/// Compiles a meaning document, or tells all its faults at once, in the order of the document's paths.
pub fn compile(bytes: &[u8]) -> Result<Definition, Vec<Fault>> {
    let json = canonical::parse(bytes).map_err(|fault| vec![fault])?;
    gather(&json, |at| read_document(at, canonical::hash(bytes)))
}

/// Compiles the source object of a view's meaning (`$.source`), or a source document.
pub fn compile_source(bytes: &[u8]) -> Result<Source, Vec<Fault>> {
    let json = canonical::parse(bytes).map_err(|fault| vec![fault])?;
    gather(&json, |at| {
        if at.json.get("format").is_some() {
            read_source_document(at)
        } else {
            Source::read(at)
        }
    })
}

/// SHA-256 of a meaning document; refuses bytes that are not canonical JSON.
pub fn meaning_hash(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    canonical::parse(bytes).map(|_| canonical::hash(bytes))
}

fn gather<T>(json: &Json, read: impl FnOnce(&Reader<'_>) -> Option<T>) -> Result<T, Vec<Fault>> {
    let faults = RefCell::new(Vec::new());
    let result = read(&Reader::root(json, &faults));
    let mut faults = faults.into_inner();
    match result {
        Some(result) if faults.is_empty() => Ok(result),
        _ => {
            if faults.is_empty() {
                faults.push(Fault::new("$", "UNREADABLE", "the document could not be read"));
            }
            Err(faults)
        }
    }
}

fn read_document(at: &Reader<'_>, meaning: [u8; 32]) -> Option<Definition> {
    let kind = match at.json.get("kind") {
        Some(_) => at.key("kind").text()?,
        None => {
            return at
                .key("kind")
                .fault("MISSING_KEY", "a meaning document says what it defines");
        }
    };
    let format = at.key("format").int(FORMAT, FORMAT);
    match kind {
        "entity" | "source" => {}
        _ => {
            let revision = i64::from(crate::SEMANTICS_REVISION);
            if at.key("semantics").json.as_i64() != Some(revision) {
                at.key("semantics").fault::<()>(
                    "UNKNOWN_SEMANTICS",
                    format!("this kernel implements the semantics revision {revision}"),
                );
            }
        }
    }
    format?;
    match kind {
        "entity" => {
            at.keys(&["format", "kind", "project", "name", "keys"])?;
            at.key("project").name()?;
            Entity::read_parts(&at.key("name"), &at.key("keys")).map(Definition::Entity)
        }
        "source" => read_source_document(at).map(Definition::Source),
        "window_view" => WindowView::read(at, meaning).map(Definition::Window),
        "latest_view" => LatestView::read(at, meaning).map(Definition::Latest),
        "on_demand_view" => OnDemandView::read(at, meaning).map(Definition::OnDemand),
        "feature_service" => FeatureService::read(at, meaning).map(Definition::Service),
        other => at.key("kind").fault(
            "UNKNOWN_KIND",
            format!(
                "{other:?} cannot be defined; there are entity, source, window_view, latest_view, on_demand_view, \
                 feature_service"
            ),
        ),
    }
}

fn read_source_document(at: &Reader<'_>) -> Option<Source> {
    at.keys(&["format", "kind", "project", "name", "source"])?;
    let project = at.key("project").name();
    let name = at.key("name").name();
    let source = Source::read(&at.key("source"))?;
    if name? != source.name() {
        return at.key("name").fault(
            "TYPE_MISMATCH",
            format!("the source itself is named {:?}", source.name()),
        );
    }
    project.map(|_| source)
}
