//! Latest views: the newest row of an entity, of a stream or of a table.

use serde_json::Value as Json;

use super::entity::Entity;
use super::limits;
use super::operation::Operation;
use super::read::{Reader, refuse_duplicates};
use super::source::{Source, check_keys, read_column};
use super::stream::{Slacks, read_filter};
use crate::expr::Expr;
use crate::fault::Fault;
use crate::latest;
use crate::schema::Schema;
use crate::value::Type;

/// A compiled latest view.
#[derive(Debug)]
pub struct LatestView {
    /// SHA-256 of the meaning document.
    pub meaning: [u8; 32],
    /// The project.
    pub project: String,
    /// The view's name.
    pub name: String,
    /// Whom the features are about.
    pub entity: Entity,
    /// Where the rows come from.
    pub source: Source,
    /// Which rows count; all if absent.
    pub filter: Option<Expr>,
    /// How old a row may be at the request time, microseconds; any age if absent.
    pub ttl: Option<i64>,
    /// How far the writer's horizon stays behind its clock (streams only).
    pub slacks: Slacks,
    /// In declared order.
    pub features: Vec<LatestFeature>,
}

/// One feature of a latest view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestFeature {
    /// Unique within the view.
    pub name: String,
    /// The place of the column in the source's row.
    pub column: usize,
    /// The type of the value.
    pub kind: Type,
}

const KEYS: [&str; 13] = [
    "format",
    "semantics",
    "kind",
    "project",
    "name",
    "entity",
    "source",
    "filter",
    "ttl_us",
    "head_slack_us",
    "head_max",
    "state_limit_bytes",
    "features",
];

impl LatestView {
    pub(crate) fn read(at: &Reader<'_>, meaning: [u8; 32]) -> Option<Self> {
        at.keys(&KEYS)?;
        let project = at.key("project").name();
        let name = at.key("name").name();
        let entity = Entity::read(&at.key("entity"));
        let source = Source::read(&at.key("source"));
        let ttl = match at.key("ttl_us").present() {
            None => Some(None),
            Some(place) => place.int(1, limits::WIDEST_WINDOW * 100).map(Some),
        };
        let slacks = Slacks::read(at);
        let source = source?;
        if let Some(entity) = &entity {
            check_keys(&at.key("entity"), entity, source.columns());
        }
        let filter = read_filter(&at.key("filter"), source.columns());
        let features = read_features(&at.key("features"), source.columns())?;
        let view = Self {
            meaning,
            project: project?,
            name: name?,
            entity: entity?,
            source,
            filter: filter?,
            ttl: ttl?,
            slacks: slacks?,
            features,
        };
        if view.worst_case_bytes() > view.slacks.state_limit {
            at.add(Fault::new(
                format!("{}.state_limit_bytes", at.path),
                "STATE_TOO_LARGE",
                format!(
                    "one entity's state may reach {} bytes, the limit is {}; lower head_max, serve fewer strings, \
                     or raise the limit",
                    view.worst_case_bytes(),
                    view.slacks.state_limit
                ),
            ));
        }
        Some(view)
    }

    /// The most bytes that the stored state of one entity may take.
    pub fn worst_case_bytes(&self) -> usize {
        latest::worst_case_bytes(self)
    }

    /// Whether rows come from a stream (else from a table).
    pub fn is_stream(&self) -> bool {
        matches!(self.source, Source::Stream(_))
    }

    /// How the source tells retractions, which delete here, if it has any.
    pub fn operation(&self) -> Option<&Operation> {
        match &self.source {
            Source::Stream(source) => source.operation.as_ref(),
            Source::Batch(_) => None,
        }
    }

    /// Whether rows have no event time of their own.
    pub fn is_timeless(&self) -> bool {
        matches!(&self.source, Source::Batch(source) if source.event_time.is_none())
    }

    /// The place of a feature in the declared order.
    pub fn feature(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }
}

fn read_features(at: &Reader<'_>, columns: &Schema) -> Option<Vec<LatestFeature>> {
    let list = at.list(1, limits::FEATURES_PER_VIEW)?;
    let read: Vec<Option<LatestFeature>> = list
        .iter()
        .map(|at| {
            at.keys(&["name", "column", "type"])?;
            let name = at.key("name").name();
            let kind = at.key("type").kind();
            let column = read_column(&at.key("column"), columns)?;
            let own = columns.columns()[column].kind;
            let kind = kind?;
            if own != kind {
                return at.key("type").fault(
                    "TYPE_MISMATCH",
                    format!("the column has type {own}, the feature {kind}; they must be the same"),
                );
            }
            Some(LatestFeature {
                name: name?,
                column,
                kind,
            })
        })
        .collect();
    refuse_duplicates(
        at,
        "name",
        list.iter()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.json.get("name").and_then(Json::as_str)?))),
    );
    read.into_iter().collect()
}
