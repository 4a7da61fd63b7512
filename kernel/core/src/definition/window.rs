//! Window views: aggregates over the events of an entity in windows.

use std::sync::Arc;

use serde_json::Value as Json;

use super::aggregation::{Aggregation, LAWS, Law, Limit};
use super::edges::read_edges;
use super::entity::Entity;
use super::limits;
use super::operation::Operation;
use super::read::{Reader, refuse_duplicates};
use super::source::{Source, StreamSource, check_keys, read_column};
use super::stream::{Slacks, read_filter};
use crate::expr::Expr;
use crate::fault::Fault;
use crate::numbers::{Grid, WHOLE};
use crate::schema::Schema;
use crate::value::{Type, Value};
use crate::window::{Cell, Layout, Window, WindowKind};

/// A compiled window view.
#[derive(Debug)]
pub struct WindowView {
    /// SHA-256 of the meaning document.
    pub meaning: [u8; 32],
    /// The project.
    pub project: String,
    /// The view's name.
    pub name: String,
    /// Whom the features are about.
    pub entity: Entity,
    /// Where the events come from.
    pub source: StreamSource,
    /// Which events count; all if absent.
    pub filter: Option<Expr>,
    /// The instant from which the hops are laid out.
    pub origin: i64,
    /// How far the writer's horizons stay behind its clock, and how large a state may be.
    pub slacks: Slacks,
    /// How long before the clock a lower edge can still be answered, microseconds.
    pub back_slack: i64,
    /// In declared order.
    pub features: Vec<WindowFeature>,
    /// How the state of one entity is laid out.
    pub layout: Layout,
}

/// One feature of a window view.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowFeature {
    /// Unique within the view.
    pub name: String,
    /// How the events become a value.
    pub aggregation: Aggregation,
    /// The place of the column in an event's row; absent where events are counted.
    pub column: Option<usize>,
    /// Which events count, where the aggregation asks for a condition.
    pub condition: Option<Condition>,
    /// The width, microseconds; 0 where the window has none.
    pub window: i64,
    /// The hop of the lower edge, microseconds; 0 where the window has none.
    pub hop: i64,
    /// The most distinct values that are counted exactly.
    pub bound: Option<usize>,
    /// Registers, as a power of two, from which more distinct values are estimated; absent: they are over the bound.
    pub precision: Option<u32>,
    /// Which quantile of which bins, where the aggregation is one.
    pub quantile: Option<Quantile>,
    /// The most items of a list, where the aggregation asks for it.
    pub items: Option<usize>,
    /// The edges of a histogram: rising cells of the column's type.
    pub edges: Option<Arc<[Cell]>>,
    /// The type of the value.
    pub kind: Type,
    /// The kind of the window.
    pub shape: WindowKind,
}

/// A quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantile {
    /// The share of the cells before it, in millionths.
    pub q: u32,
    /// The bins.
    pub grid: Grid,
}

impl Default for Quantile {
    /// The median, within 1 %, from at most 48 bins.
    fn default() -> Self {
        Self {
            q: WHOLE / 2,
            grid: Grid::new(WHOLE / 100, 48),
        }
    }
}

impl Quantile {
    fn read(at: &Reader<'_>) -> Option<Self> {
        let within = |name: &str, (least, greatest)| at.key(name).int(least, greatest);
        let q = within("q_millionths", (0, i64::from(WHOLE)));
        let accuracy = within("accuracy_millionths", limits::QUANTILE_ACCURACY);
        let bins = within("bins", limits::QUANTILE_BINS);
        let (q, accuracy, bins) = (q?, accuracy?, bins?);
        Some(Self {
            q: u32::try_from(q).ok()?,
            grid: Grid::new(u32::try_from(accuracy).ok()?, usize::try_from(bins).ok()?),
        })
    }
}

/// A feature's own condition on an event: a boolean expression of its columns.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The expression as it stands in the document: what tells conditions apart.
    text: String,
    /// The expression.
    pub expr: Arc<Expr>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl Condition {
    /// The condition that this JSON is.
    #[cfg(test)]
    pub(crate) fn of(json: &Json, columns: &Schema) -> Option<Self> {
        let faults = std::cell::RefCell::new(Vec::new());
        Self::read(&Reader::root(json, &faults), columns)
    }

    /// The condition of a place in a document.
    pub(crate) fn read(at: &Reader<'_>, columns: &Schema) -> Option<Self> {
        if at.json.is_null() {
            return at.fault(
                "WRONG_TYPE",
                "must be an expression that gives bool: which events to count",
            );
        }
        let expr = read_filter(at, columns)??;
        Some(Self {
            text: at.json.to_string(),
            expr: Arc::new(expr),
        })
    }
}

const KEYS: [&str; 14] = [
    "format",
    "semantics",
    "kind",
    "project",
    "name",
    "entity",
    "source",
    "filter",
    "origin_us",
    "head_slack_us",
    "back_slack_us",
    "head_max",
    "state_limit_bytes",
    "features",
];

impl WindowView {
    pub(crate) fn read(at: &Reader<'_>, meaning: [u8; 32]) -> Option<Self> {
        at.keys(&KEYS)?;
        let project = at.key("project").name();
        let name = at.key("name").name();
        let entity = Entity::read(&at.key("entity"));
        let source = read_stream(&at.key("source"));
        let origin = at.key("origin_us").int(limits::INSTANTS.0, limits::INSTANTS.1);
        let slacks = Slacks::read(at);
        let back_slack = at.key("back_slack_us").int(0, limits::BACK_SLACK);
        let source = source?;
        if let Some(entity) = &entity {
            check_keys(&at.key("entity"), entity, &source.columns);
        }
        let filter = read_filter(&at.key("filter"), &source.columns);
        let features = read_features(&at.key("features"), &source.columns)?;
        if let Some(operation) = &source.operation {
            check_retractions(at, operation, filter.as_ref().and_then(Option::as_ref), &features);
        }
        let (origin, slacks, back_slack) = (origin?, slacks?, back_slack?);
        check_origin(&at.key("origin_us"), origin, &features)?;
        let layout = Layout::new(
            &features,
            source.columns.columns(),
            origin,
            source.operation.as_ref(),
        );
        check_size(
            at,
            &layout,
            &features,
            slacks,
            back_slack + source.future_tolerance,
        );
        Some(Self {
            meaning,
            project: project?,
            name: name?,
            entity: entity?,
            source,
            filter: filter?,
            origin,
            slacks,
            back_slack,
            features,
            layout,
        })
    }

    /// The most bytes that the state of one entity may take, head and body.
    pub fn worst_case_bytes(&self) -> usize {
        let back = self.back_slack + self.source.future_tolerance;
        self.layout.worst_case_bytes(self.slacks, back).total()
    }

    /// The place of a feature in the declared order.
    pub fn feature(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }
}

fn read_stream(at: &Reader<'_>) -> Option<StreamSource> {
    match Source::read(at)? {
        Source::Stream(source) => Some(source),
        Source::Batch(_) => at.key("kind").fault(
            "UNSUPPORTED_SOURCE",
            "a window view reads events: its source must be a stream; compute aggregates of a table in its query",
        ),
    }
}

fn read_features(at: &Reader<'_>, columns: &Schema) -> Option<Vec<WindowFeature>> {
    let list = at.list(1, limits::FEATURES_PER_VIEW)?;
    let read: Vec<Option<WindowFeature>> = list.iter().map(|at| WindowFeature::read(at, columns)).collect();
    refuse_duplicates(
        at,
        "name",
        list.iter()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.json.get("name").and_then(Json::as_str)?))),
    );
    read.into_iter().collect()
}

impl WindowFeature {
    /// Where the edges of its window lie.
    pub fn edges(&self) -> Window {
        Window {
            width: self.window,
            hop: self.hop,
            kind: self.shape,
        }
    }

    fn read(at: &Reader<'_>, columns: &Schema) -> Option<Self> {
        let agg = at.json.get("agg").and_then(Json::as_str);
        let law = agg.and_then(Aggregation::from_name).map(Aggregation::law);
        let has_condition = law.is_some_and(Law::has_condition);
        let estimates = agg == Some("count_distinct") && at.json.get("precision").is_some();
        let mut members = vec!["name", "agg", "column", "window_us", "hop_us", "bound", "type"];
        members.extend(law.map_or(&[][..], Law::own_members));
        if at.json.get("window").is_some() {
            members.push("window");
        }
        if estimates {
            members.push("precision");
        }
        at.keys(&members)?;
        let has_number = law.is_some_and(Law::has_number);
        let has_edges = law.is_some_and(Law::has_edges);
        let name = at.key("name").name();
        let aggregation = read_aggregation(&at.key("agg"));
        let column = match at.key("column").present() {
            None => Some(None),
            Some(place) => read_column(&place, columns).map(Some),
        };
        let edges = read_edges(at);
        let kind = at.key("type").feature_kind();
        let items = has_number.then(|| at.key("n").int(1, limits::LIST_ITEMS));
        let condition = has_condition.then(|| Condition::read(&at.key("where"), columns));
        let (aggregation, column) = (aggregation?, column?);
        let quantile = (aggregation == Aggregation::Quantile).then(|| Quantile::read(at));
        let (least, greatest) = limits::DISTINCT_PRECISION;
        let precision = estimates.then(|| u32::try_from(at.key("precision").int(least, greatest)?).ok());
        let bound = read_bound(at, aggregation);
        let input = column.map(|place| columns.columns()[place].kind);
        let Some(result) = aggregation.result(input) else {
            let given = input.map_or("no column".to_owned(), |kind| format!("a {kind} column"));
            return at.key("column").fault(
                "TYPE_MISMATCH",
                format!(
                    "{} takes {}, not {given}",
                    aggregation.name(),
                    aggregation.law().takes
                ),
            );
        };
        let histogram = has_edges.then(|| read_histogram_edges(&at.key("edges"), input));
        let kind = kind?;
        if kind != result {
            return at.key("type").fault(
                "TYPE_MISMATCH",
                format!("{} gives {result} here, not {kind}", aggregation.name()),
            );
        }
        let edges = edges?;
        if edges.width == 0 && aggregation == Aggregation::Rate {
            return at.key("agg").fault(
                "NO_DECLARED_WIDTH",
                "a rate divides by the declared width, and this window has none; take count or sum",
            );
        }
        let feature = Self {
            name: name?,
            aggregation,
            column,
            condition: condition.map_or(Some(None), |condition| condition.map(Some))?,
            window: edges.width,
            hop: edges.hop,
            bound: bound?,
            precision: precision.map_or(Some(None), |bits| bits.map(Some))?,
            quantile: quantile.map_or(Some(None), |quantile| quantile.map(Some))?,
            items: items.map_or(Some(None), |items| usize::try_from(items?).ok().map(Some))?,
            edges: histogram.map_or(Some(None), |edges| edges.map(Some))?,
            kind,
            shape: edges.kind,
        };
        if feature.precision.is_some() && feature.edges().is_closed() {
            return at.key("precision").fault(
                "UNSUPPORTED_WINDOW",
                "an estimate needs a window that ends at the request; leave precision out, or take another window",
            );
        }
        Some(feature)
    }
}

/// Refuses what cannot be taken back: each feature by its name.
fn check_retractions(
    at: &Reader<'_>,
    operation: &Operation,
    filter: Option<&Expr>,
    features: &[WindowFeature],
) {
    let reads = |expr: &Expr| expr.columns().contains(&operation.column);
    if filter.is_some_and(reads) {
        at.key("filter").fault::<()>(
            "READS_OPERATION",
            "a filter must let a retraction in wherever it lets in what is retracted, so it cannot read the operation",
        );
    }
    for (place, feature) in features.iter().enumerate() {
        let add = |member: &str, reason, message: String| {
            at.add(Fault::new(
                format!("{}.features[{place}]{member}", at.path),
                reason,
                message,
            ));
        };
        let name = &feature.name;
        if !feature.aggregation.law().can_retract() {
            let can = LAWS.iter().filter(|law| law.can_retract()).map(|law| law.name);
            add(
                ".agg",
                "NOT_SUBTRACTABLE",
                format!(
                    "{name}: the source has retractions, and what {} keeps cannot be taken back; those that can are {}",
                    feature.aggregation.name(),
                    can.collect::<Vec<_>>().join(", ")
                ),
            );
        }
        if feature.edges().is_bounded() {
            add(
                ".window",
                "UNSUPPORTED_WINDOW",
                format!(
                    "{name}: the source has retractions, which an exact window cannot count; take one that slides"
                ),
            );
        }
        let conditions = feature.condition.iter().any(|condition| reads(&condition.expr));
        if feature.column == Some(operation.column) || conditions {
            add(
                "",
                "READS_OPERATION",
                format!(
                    "{name}: a retraction must hold the cells of what it retracts, so no feature reads the operation"
                ),
            );
        }
    }
}

fn read_aggregation(at: &Reader<'_>) -> Option<Aggregation> {
    let name = at.text()?;
    let found = Aggregation::from_name(name);
    if found.is_none() {
        let known = LAWS.map(|law| law.name).join(", ");
        at.fault::<()>(
            "UNKNOWN_AGGREGATION",
            format!("{name:?} is no aggregation; there are {known}"),
        );
    }
    found
}

/// The edges of a histogram, rising: as strings over an int64 or a decimal column, numbers over a float64 one.
fn read_histogram_edges(at: &Reader<'_>, column: Option<Type>) -> Option<Arc<[Cell]>> {
    let list = at.list(1, limits::HISTOGRAM_EDGES)?;
    let edges = list.iter().map(|edge| {
        let cell = match column {
            Some(Type::Int64) => edge.decimal().map(Value::Int),
            Some(Type::Decimal(kind)) => {
                let text = edge.json.as_str();
                text.and_then(|text| kind.read_canonical(text)).map(Value::Int)
            }
            _ => edge.json.as_f64().map(Value::Float),
        };
        match cell.map(|value| Cell::of(&value, false)) {
            Some(cell @ (Cell::Int(_) | Cell::Float(_))) => Some(cell),
            _ => edge.fault(
                "WRONG_TYPE",
                match column {
                    Some(Type::Int64) => "must be an integer within 64 bits, as a string".into(),
                    Some(Type::Decimal(kind)) => {
                        format!(
                            "must be a {}, as a string such as {:?}",
                            kind.name(),
                            kind.text(1)
                        )
                    }
                    _ => String::from("must be a number below 2^63 in size"),
                },
            ),
        }
    });
    let edges: Vec<Option<Cell>> = edges.collect();
    let edges: Vec<Cell> = edges.into_iter().collect::<Option<_>>()?;
    if let Some(place) = edges.windows(2).position(|pair| pair[0].order(&pair[1]).is_ge()) {
        return list[place + 1].fault("NOT_RISING", "must be greater than the edge before it");
    }
    Some(edges.into())
}

/// The bound: an integer for an aggregation that has one, null for the others.
// Outer: whether it could be read; inner: whether there is one.
#[allow(clippy::option_option)]
fn read_bound(at: &Reader<'_>, aggregation: Aggregation) -> Option<Option<usize>> {
    let place = at.key("bound");
    if let Limit::Bound { greatest, .. } = aggregation.law().limit {
        let bound = place.int(1, greatest)?;
        return usize::try_from(bound).ok().map(Some);
    }
    if place.json.is_null() {
        return Some(None);
    }
    place.fault(
        "UNEXPECTED_BOUND",
        format!("{} has no bound; write null", aggregation.name()),
    )
}

/// Refuses an origin whose hops the beginnings of calendar windows would not lie on.
fn check_origin(at: &Reader<'_>, origin: i64, features: &[WindowFeature]) -> Option<()> {
    let is_off = |feature: &&WindowFeature| {
        matches!(feature.shape, WindowKind::Calendar(_)) && origin % feature.hop != 0
    };
    let Some(feature) = features.iter().find(is_off) else {
        return Some(());
    };
    at.fault(
        "ORIGIN_NOT_ON_CALENDAR",
        format!(
            "the calendar window of {} begins on a whole number of its hops of {} us since 1970, and the origin does not; \
             choose an origin that does, or a finer hop",
            feature.name, feature.hop
        ),
    )
}

/// Refuses a view whose states could grow beyond its own limit, and names what is largest.
fn check_size(at: &Reader<'_>, layout: &Layout, features: &[WindowFeature], slacks: Slacks, back: i64) {
    let size = layout.worst_case_bytes(slacks, back);
    if size.total() <= slacks.state_limit {
        return;
    }
    let mut shares: Vec<(usize, &str)> = features
        .iter()
        .map(|feature| {
            let alone = Layout::of_one(feature, layout);
            (
                alone.worst_case_bytes(slacks, back).total(),
                feature.name.as_str(),
            )
        })
        .collect();
    shares.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let blame: Vec<String> = shares
        .iter()
        .take(3)
        .map(|(bytes, name)| format!("{name} ({bytes})"))
        .collect();
    at.add(Fault::new(
        format!("{}.state_limit_bytes", at.path),
        "STATE_TOO_LARGE",
        format!(
            "one entity's state may reach {} bytes (head list {}, tiles {}, distinct values {}), the limit is {}; \
             largest alone are {}; coarsen hops, lower head_max or bounds, split the view, or raise the limit",
            size.total(),
            size.head_list,
            size.tiles,
            size.distinct,
            slacks.state_limit,
            blame.join(", ")
        ),
    ));
}
