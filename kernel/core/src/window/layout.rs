//! What the state of one entity holds for a view: decided once from its features.
//!
//! Many features share one accumulator: `count(x)`, `avg(x)` and `stddev(x)` over three windows are one slot. A
//! tile holds one accumulator per slot; distinct values and newest cells need no tiles where a window ends at the
//! request, which is after the fold horizon. Windows that end before it have slots for them too.

use super::bounds::{INSTANT, Window, WindowKind};
use super::cell::{Cell, Identity};
use super::ranks::Beyond;
use super::recent::{self, Which};
use super::slot::{Level, SlotKind};
use crate::definition::{Aggregation, Condition, Operation, Quantile, Slacks, WindowFeature, limits};
use crate::numbers::{Grid, Scale, Spread};
use crate::schema::Column;
use crate::time::{DAY, HOUR, SECOND, floor_to_hop};
use crate::value::{Type, Value};

/// The layout of a view's states.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The instant from which hops are laid out.
    pub origin: i64,
    /// The different windows, in canonical order.
    pub windows: Vec<Window>,
    /// The different hops, finest first; those of exact windows aside.
    pub hops: Vec<i64>,
    /// What the beginnings of tiles are counted in: the finest hop, or instants.
    pub unit: i64,
    /// The hop at whose closing tiles go from the head to the body, and tail horizons are raised.
    pub closing: i64,
    /// The columns that events are kept with.
    pub columns: Vec<KeptColumn>,
    /// The conditions that give columns of their own.
    pub conditions: Vec<Condition>,
    /// The accumulators of a tile.
    pub slots: Vec<Slot>,
    /// The slot that counts events, where a window may hold only so many of them.
    pub counting: Option<usize>,
    /// The distinct counts.
    pub distincts: Vec<Distinct>,
    /// The columns whose newest cell is kept (places in `columns`).
    pub lasts: Vec<usize>,
    /// The lists of newest cells.
    pub newer: Vec<Newer>,
    /// How each feature is finished, in declared order.
    pub features: Vec<Finish>,
    /// How the source tells retractions, if it has any: then every count and sum is signed.
    pub operation: Option<Operation>,
}

/// A column that some feature reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptColumn {
    /// Where its cells come from.
    pub from: Origin,
    /// The type.
    pub kind: Type,
    /// Whether a text is given back (`min`, `max`, `first`, `last`), so that it must be kept as it is.
    pub keep_text: bool,
}

/// Where the cells of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The source's row, at this place.
    Row(usize),
    /// A condition (its place in the layout): true where it holds, else null.
    Condition(usize),
}

/// An accumulator that every tile holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// What it accumulates.
    pub kind: SlotKind,
    /// The windows that read it (places in `windows`): below the tail horizons of all of them it is dropped.
    pub windows: Vec<usize>,
}

/// A distinct count of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    /// The place in `columns`.
    pub column: usize,
    /// How many newest values are kept: one more than the greatest bound.
    pub kept: usize,
    /// How more are told than are kept; absent: they are over the bound.
    pub beyond: Option<Beyond>,
    /// The windows that read it.
    pub windows: Vec<usize>,
}

/// A list of the newest cells of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The place in `columns`.
    pub column: usize,
    /// How many are kept: the most that a feature asks for.
    pub kept: usize,
    /// Whether a cell stands in it once, with its newest event.
    pub different: bool,
    /// The windows that read it.
    pub windows: Vec<usize>,
}

impl Newer {
    /// Which cells it keeps.
    pub fn which(&self) -> Which {
        if self.different {
            Which::Different
        } else {
            Which::Newest
        }
    }
}

/// How a feature is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// The window (place in `windows`).
    pub window: usize,
    /// The slot that counts invalid inputs, if there can be any.
    pub invalid: Option<usize>,
    /// What is made of which part of the state.
    pub how: How,
    /// The slot with the newest time, if the window does not see all that was folded.
    pub newest: Option<usize>,
    /// The slot that counts the events, and how many of them there may be, if that is bounded.
    pub bounded: Option<(usize, u64)>,
    /// The type of the value.
    pub kind: Type,
}

/// What a feature is made of; numbers are places in the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the aggregations, each with its slot
pub enum How {
    Events {
        slot: usize,
    },
    Count {
        slot: usize,
    },
    Sum {
        slot: usize,
        scale: Scale,
    },
    Avg {
        slot: usize,
        scale: Scale,
    },
    Rate {
        slot: usize,
        scale: Scale,
    },
    EventRate {
        slot: usize,
    },
    Variance {
        slot: usize,
        scale: Scale,
        of: Spread,
    },
    Stddev {
        slot: usize,
        scale: Scale,
        of: Spread,
    },
    Extreme {
        slot: usize,
    },
    First {
        slot: usize,
    },
    Quantile {
        slot: usize,
        grid: Grid,
        q: u32,
        scale: Scale,
    },
    Distinct {
        distinct: usize,
        bound: usize,
        estimated: bool,
    },
    Different {
        slot: usize,
        bound: usize,
    },
    Last {
        last: usize,
    },
    FirstN {
        slot: usize,
        most: usize,
    },
    Newest {
        newer: usize,
        most: usize,
    },
    Histogram {
        slot: usize,
    },
    Top {
        slot: usize,
        most: usize,
    },
    TimeSinceLast,
}

/// The most bytes of a state, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Prefix, horizons, newest cells.
    pub fixed: usize,
    /// The head list.
    pub head_list: usize,
    /// Tiles of head and body.
    pub tiles: usize,
    /// Distinct values, and lists of newest cells.
    pub distinct: usize,
}

impl Size {
    /// All parts.
    pub fn total(&self) -> usize {
        self.fixed + self.head_list + self.tiles + self.distinct
    }
}

impl Layout {
    /// The layout of these features over these source columns.
    pub fn new(
        features: &[WindowFeature],
        columns: &[Column],
        origin: i64,
        operation: Option<&Operation>,
    ) -> Self {
        let hops = hops_of(features);
        let settling = hops.first().copied().unwrap_or(HOUR);
        let mut windows: Vec<Window> = features
            .iter()
            .map(|feature| window_of(feature, settling))
            .collect();
        windows.sort_unstable();
        windows.dedup();
        let closing = hops.iter().rev().find(|hop| **hop <= HOUR).or(hops.first());
        let mut layout = Self {
            origin,
            closing: closing.copied().unwrap_or(HOUR),
            unit: if windows.iter().any(|window| window.bound().is_some()) {
                INSTANT
            } else {
                settling
            },
            windows,
            hops,
            columns: Vec::new(),
            conditions: Vec::new(),
            slots: Vec::new(),
            counting: None,
            distincts: Vec::new(),
            lasts: Vec::new(),
            newer: Vec::new(),
            features: Vec::new(),
            operation: operation.cloned(),
        };
        for feature in features {
            let window = window_of(feature, settling);
            let place = layout.windows.binary_search(&window).unwrap_or_default();
            let finish = layout.add(feature, columns, place);
            layout.features.push(finish);
        }
        layout
    }

    /// The layout that one feature of a view would have alone, for telling how much it takes.
    pub fn of_one(feature: &WindowFeature, of: &Self) -> Self {
        let columns: Vec<Column> = (0..=feature.column.unwrap_or(0))
            .map(|place| Column {
                name: String::new(),
                kind: of
                    .columns
                    .iter()
                    .find(|kept| kept.from == Origin::Row(place))
                    .map_or(Type::Int64, |kept| kept.kind),
                nullable: true,
            })
            .collect();
        Self::new(
            std::slice::from_ref(feature),
            &columns,
            of.origin,
            of.operation.as_ref(),
        )
    }

    /// Whether events can be retracted.
    pub fn is_signed(&self) -> bool {
        self.operation.is_some()
    }

    /// How often an event counts, given its cells.
    pub(super) fn weight(&self, cell: impl Fn(usize) -> Option<Value>) -> i64 {
        let retracts = self
            .operation
            .as_ref()
            .is_some_and(|operation| cell(operation.column).is_some_and(|cell| operation.retracts(&cell)));
        if retracts { -1 } else { 1 }
    }

    fn add(&mut self, feature: &WindowFeature, columns: &[Column], window: usize) -> Finish {
        let (how, invalid) = self.how(feature, columns, window);
        let bound = self.windows[window].bound();
        let closed = self.windows[window].is_closed();
        let bounded = bound.map(|bound| (self.slot(SlotKind::Events, window), bound as u64));
        self.counting = self.counting.or(bounded.map(|(slot, _)| slot));
        Finish {
            window,
            invalid,
            how,
            newest: (closed && !self.is_signed()).then(|| self.slot(SlotKind::NewestTime, window)),
            bounded,
            kind: feature.kind,
        }
    }

    /// What the feature is made of, and the slot that counts its invalid inputs.
    #[allow(clippy::too_many_lines)] // one arm per aggregation
    fn how(&mut self, feature: &WindowFeature, columns: &[Column], window: usize) -> (How, Option<usize>) {
        if let Some(condition) = &feature.condition {
            let column = self.condition(condition);
            let slot = self.moments(column, Level::Count, window);
            return (How::Count { slot }, None);
        }
        let Some(place) = feature.column else {
            let how = match feature.aggregation {
                Aggregation::TimeSinceLast => How::TimeSinceLast,
                Aggregation::Rate => How::EventRate {
                    slot: self.slot(SlotKind::Events, window),
                },
                _ => How::Events {
                    slot: self.slot(SlotKind::Events, window),
                },
            };
            return (how, None);
        };
        let kind = columns.get(place).map_or(Type::Int64, |column| column.kind);
        let gives_back = feature.aggregation.law().keeps.gives_back();
        let column = self.column(Origin::Row(place), kind.kept(), gives_back);
        let scale = match kind {
            Type::Float64 => Scale::Fixed,
            Type::Decimal(kind) => Scale::Tenth(kind.scale()),
            _ => Scale::One,
        };
        let spread = match feature.aggregation {
            Aggregation::VariancePop | Aggregation::StddevPop => Spread::Population,
            _ => Spread::Sample,
        };
        let items = feature.items.unwrap_or(1);
        let moments = |layout: &mut Self, level| layout.moments(column, level, window);
        let how = match feature.aggregation {
            Aggregation::Count | Aggregation::CountWhere | Aggregation::TimeSinceLast => How::Count {
                slot: moments(self, Level::Count),
            },
            Aggregation::Sum => How::Sum {
                slot: moments(self, Level::Sum),
                scale,
            },
            Aggregation::Avg => How::Avg {
                slot: moments(self, Level::Sum),
                scale,
            },
            Aggregation::Rate => How::Rate {
                slot: moments(self, Level::Sum),
                scale,
            },
            Aggregation::Variance | Aggregation::VariancePop => How::Variance {
                slot: moments(self, Level::Squares),
                scale,
                of: spread,
            },
            Aggregation::Stddev | Aggregation::StddevPop => How::Stddev {
                slot: moments(self, Level::Squares),
                scale,
                of: spread,
            },
            Aggregation::First => How::First {
                slot: self.slot(SlotKind::Oldest { column }, window),
            },
            Aggregation::Quantile => {
                let Quantile { q, grid } = feature.quantile.unwrap_or_default();
                How::Quantile {
                    slot: self.slot(SlotKind::Bins { column, grid }, window),
                    grid,
                    q,
                    scale,
                }
            }
            Aggregation::Min => How::Extreme {
                slot: self.slot(SlotKind::Min { column }, window),
            },
            Aggregation::Max => How::Extreme {
                slot: self.slot(SlotKind::Max { column }, window),
            },
            Aggregation::CountDistinct if self.windows[window].is_closed() => {
                let bound = feature.bound.unwrap_or(1);
                How::Different {
                    slot: self.different(column, bound, window),
                    bound,
                }
            }
            Aggregation::CountDistinct => {
                let bound = feature.bound.unwrap_or(1);
                How::Distinct {
                    distinct: self.distinct(column, bound, feature.precision, window),
                    bound,
                    estimated: feature.precision.is_some(),
                }
            }
            // A slot's dated cell is read the same way, be it the oldest or the newest.
            Aggregation::Last if self.windows[window].is_closed() => How::First {
                slot: self.slot(SlotKind::Newest { column }, window),
            },
            Aggregation::Last => How::Last {
                last: self.last(column),
            },
            Aggregation::FirstN => How::FirstN {
                slot: self.cells(column, items, Which::Oldest, window),
                most: items,
            },
            Aggregation::LastN if self.windows[window].is_closed() => How::FirstN {
                slot: self.cells(column, items, Which::Newest, window),
                most: items,
            },
            Aggregation::LastDistinctN if self.windows[window].is_closed() => How::FirstN {
                slot: self.cells(column, items, Which::Different, window),
                most: items,
            },
            Aggregation::LastN => How::Newest {
                newer: self.newer(column, items, false, window),
                most: items,
            },
            Aggregation::LastDistinctN => How::Newest {
                newer: self.newer(column, items, true, window),
                most: items,
            },
            Aggregation::Histogram => {
                let edges = feature.edges.clone().unwrap_or_default();
                How::Histogram {
                    slot: self.slot(SlotKind::Buckets { column, edges }, window),
                }
            }
            Aggregation::TopN => {
                let bound = feature.bound.unwrap_or(1);
                How::Top {
                    slot: self.slot(SlotKind::Frequencies { column, bound }, window),
                    most: items,
                }
            }
        };
        let invalid = match kind {
            Type::Float64 => Some(self.slot(SlotKind::Invalid { column, kept: false }, window)),
            Type::String if gives_back => Some(self.slot(SlotKind::Invalid { column, kept: true }, window)),
            _ => None,
        };
        (how, invalid)
    }

    fn condition(&mut self, condition: &Condition) -> usize {
        let found = self.conditions.iter().position(|own| own == condition);
        let place = found.unwrap_or_else(|| {
            self.conditions.push(condition.clone());
            self.conditions.len() - 1
        });
        self.column(Origin::Condition(place), Type::Bool, false)
    }

    fn column(&mut self, from: Origin, kind: Type, keep_text: bool) -> usize {
        if let Some(found) = self.columns.iter().position(|column| column.from == from) {
            self.columns[found].keep_text |= keep_text;
            return found;
        }
        self.columns.push(KeptColumn {
            from,
            kind,
            keep_text,
        });
        self.columns.len() - 1
    }

    fn slot(&mut self, kind: SlotKind, window: usize) -> usize {
        let found = self.slots.iter().position(|slot| slot.kind == kind);
        let place = found.unwrap_or_else(|| {
            self.slots.push(Slot {
                kind,
                windows: Vec::new(),
            });
            self.slots.len() - 1
        });
        insert_sorted(&mut self.slots[place].windows, window);
        place
    }

    fn moments(&mut self, column: usize, level: Level, window: usize) -> usize {
        let same = |slot: &Slot| matches!(slot.kind, SlotKind::Moments { column: own, .. } if own == column);
        let Some(place) = self.slots.iter().position(same) else {
            return self.slot(SlotKind::Moments { column, level }, window);
        };
        let slot = &mut self.slots[place];
        if let SlotKind::Moments { level: own, .. } = &mut slot.kind {
            *own = level.max(*own);
        }
        insert_sorted(&mut slot.windows, window);
        place
    }

    fn different(&mut self, column: usize, bound: usize, window: usize) -> usize {
        let same =
            |slot: &Slot| matches!(slot.kind, SlotKind::Different { column: own, .. } if own == column);
        let Some(place) = self.slots.iter().position(same) else {
            return self.slot(SlotKind::Different { column, bound }, window);
        };
        let slot = &mut self.slots[place];
        if let SlotKind::Different { bound: own, .. } = &mut slot.kind {
            *own = bound.max(*own);
        }
        insert_sorted(&mut slot.windows, window);
        place
    }

    fn cells(&mut self, column: usize, items: usize, which: Which, window: usize) -> usize {
        let same = |slot: &Slot| matches!(slot.kind, SlotKind::Cells { column: own, which: of, .. } if own == column && of == which);
        let Some(place) = self.slots.iter().position(same) else {
            let kept = items;
            return self.slot(SlotKind::Cells { column, kept, which }, window);
        };
        let slot = &mut self.slots[place];
        if let SlotKind::Cells { kept, .. } = &mut slot.kind {
            *kept = items.max(*kept);
        }
        insert_sorted(&mut slot.windows, window);
        place
    }

    fn newer(&mut self, column: usize, items: usize, different: bool, window: usize) -> usize {
        let same = |newer: &Newer| newer.column == column && newer.different == different;
        let found = self.newer.iter().position(same);
        let place = found.unwrap_or_else(|| {
            self.newer.push(Newer {
                column,
                kept: 0,
                different,
                windows: Vec::new(),
            });
            self.newer.len() - 1
        });
        let newer = &mut self.newer[place];
        newer.kept = newer.kept.max(items);
        insert_sorted(&mut newer.windows, window);
        place
    }

    fn distinct(&mut self, column: usize, bound: usize, precision: Option<u32>, window: usize) -> usize {
        let found = self.distincts.iter().position(|distinct| {
            distinct.column == column && distinct.beyond.map(|beyond| beyond.bits) == precision
        });
        let hop = self.windows[window].hop.max(INSTANT);
        let origin = self.origin;
        let place = found.unwrap_or_else(|| {
            self.distincts.push(Distinct {
                column,
                kept: 0,
                beyond: precision.map(|bits| Beyond { bits, hop, origin }),
                windows: Vec::new(),
            });
            self.distincts.len() - 1
        });
        let distinct = &mut self.distincts[place];
        distinct.kept = distinct.kept.max(bound + 1);
        if let Some(beyond) = &mut distinct.beyond {
            beyond.hop = beyond.hop.min(hop);
        }
        insert_sorted(&mut distinct.windows, window);
        place
    }

    fn last(&mut self, column: usize) -> usize {
        let found = self.lasts.iter().position(|own| *own == column);
        found.unwrap_or_else(|| {
            self.lasts.push(column);
            self.lasts.len() - 1
        })
    }

    /// The longest time that any window looks back from a request, microseconds.
    ///
    /// Absent if one looks back for ever.
    pub fn longest_reach(&self) -> Option<i64> {
        self.windows.iter().try_fold(0, |longest: i64, window| {
            Some(longest.max(window.farthest()?.saturating_add(window.hop)))
        })
    }

    /// From which event time on events matter to any request at or after this time; absent: from the first on.
    pub fn earliest_needed(&self, request: i64) -> Option<i64> {
        let edges = self.windows.iter();
        let edges = edges.map(|window| window.lower_edge(request, self.origin));
        edges.min().filter(|edge| *edge > i64::MIN)
    }

    /// Whether old tiles become one that is never dropped.
    pub(super) fn has_base(&self) -> bool {
        let mut kinds = self.windows.iter().map(|window| window.kind);
        kinds.any(|kind| kind == WindowKind::Lifetime)
    }

    /// Where the base begins, the tile of all that lies before the horizons of every window: on each hop, and before
    /// the first instant that there is.
    pub(super) fn base(&self) -> i64 {
        floor_to_hop(limits::INSTANTS.0, DAY, self.origin).unwrap_or(i64::MIN)
    }

    /// The most bytes that a state may take. `back` is how long before the writer's clock lower edges stay
    /// answerable, with the tolerance for events from the future added.
    pub fn worst_case_bytes(&self, slacks: Slacks, back: i64) -> Size {
        let cells: usize = self
            .columns
            .iter()
            .map(|column| Cell::longest(column.kind, column.keep_text))
            .sum();
        let last =
            |column: &usize| 32 + Cell::longest(self.columns[*column].kind, self.columns[*column].keep_text);
        let lasts: usize = self.lasts.iter().map(last).sum();
        // Time, epoch and offset as varints of real magnitudes.
        let event = 6 + 3 + 8 + cells;
        let every_tile =
            self.tiles_within(i64::MAX, back) * 6 + if self.has_base() { 16 * self.slots.len() } else { 0 };
        let slot_bytes = |slot: &Slot| {
            let reach = self.reach(&slot.windows);
            // A sign may take one byte more per count, of which a slot has no more than it has bytes.
            let longest = slot.kind.longest(&self.columns) * if self.is_signed() { 2 } else { 1 };
            self.tiles_within(reach.saturating_add(self.lag(back)), back) * longest
        };
        let distinct: usize = self
            .distincts
            .iter()
            .map(|distinct| {
                let reach = self.reach(&distinct.windows).saturating_add(self.lag(back));
                let beyond = distinct.beyond.map_or(0, |beyond| beyond.longest(reach));
                3 + distinct.kept * (Identity::LONGEST + 5) + beyond
            })
            .sum();
        let cuts = self.windows.iter().filter(|window| window.bound().is_some());
        Size {
            fixed: 64 + 11 * self.windows.len() + 9 * cuts.count() + lasts,
            head_list: slacks.head_max * event,
            tiles: every_tile + self.slots.iter().map(slot_bytes).sum::<usize>(),
            distinct: distinct
                + self
                    .newer
                    .iter()
                    .map(|newer| 3 + newer.kept * recent::longest(&self.columns[newer.column]))
                    .sum::<usize>(),
        }
    }

    /// The longest time that any of these windows looks back from a request, microseconds.
    fn reach(&self, windows: &[usize]) -> i64 {
        let windows = windows.iter().map(|window| self.windows[*window]);
        let reach = windows.map(|window| window.farthest().unwrap_or(i64::MAX).saturating_add(window.hop));
        reach.max().unwrap_or(0)
    }

    /// How far tail horizons may stay behind what the fold horizon would allow.
    fn lag(&self, back: i64) -> i64 {
        back.saturating_add(self.closing).saturating_add(SECOND)
    }

    /// How many tiles there can be in the time from `reach` before the fold horizon.
    fn tiles_within(&self, reach: i64, back: i64) -> usize {
        if self.slots.is_empty() {
            return 0;
        }
        let mut finer = 0_i64;
        let mut tiles = 0_i64;
        for hop in &self.hops {
            let of_hop = |window: &&Window| window.hop <= *hop && window.bound().is_none();
            let upto = self.windows.iter().filter(of_hop);
            let widest = upto.filter_map(|window| window.farthest()).max().unwrap_or(0);
            let span = widest
                .saturating_add(*hop)
                .saturating_add(self.lag(back))
                .min(reach);
            if span > finer {
                tiles += (span - finer) / hop + 2;
            }
            // Tiles of this hop end at the latest where the shortest of these windows begins.
            let shortest = self
                .windows
                .iter()
                .filter(of_hop)
                .map(|window| window.nearest())
                .min();
            finer = finer.max(shortest.unwrap_or(0));
        }
        let instants = self.windows.iter().filter_map(|window| window.bound());
        let instants = instants.max().map_or(0, |bound| bound + 1);
        usize::try_from(tiles)
            .unwrap_or(usize::MAX / 1024)
            .saturating_add(instants + usize::from(self.has_base()))
    }
}

/// The hops of the tiles: those of the windows, except of exact ones, whose tiles are instants. A lifetime window has
/// none of its own; alone it takes hours.
fn hops_of(features: &[WindowFeature]) -> Vec<i64> {
    let mut hops: Vec<i64> = features
        .iter()
        .filter(|feature| !matches!(feature.shape, WindowKind::Lifetime | WindowKind::Exact { .. }))
        .map(|feature| feature.hop)
        .collect();
    if hops.is_empty()
        && features
            .iter()
            .any(|feature| feature.shape == WindowKind::Lifetime)
    {
        hops.push(HOUR);
    }
    hops.sort_unstable();
    hops.dedup();
    hops
}

/// The window of a feature; `settling` is the hop in which a lifetime window's older tiles become one.
fn window_of(feature: &WindowFeature, settling: i64) -> Window {
    let window = feature.edges();
    Window {
        hop: if window.kind == WindowKind::Lifetime {
            settling
        } else {
            window.hop
        },
        ..window
    }
}

fn insert_sorted(places: &mut Vec<usize>, place: usize) {
    if let Err(at) = places.binary_search(&place) {
        places.insert(at, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Empty, Keeps, LAWS, Limit};

    fn condition() -> Condition {
        let column = Column {
            name: "x".into(),
            kind: Type::Int64,
            nullable: true,
        };
        let is_null =
            serde_json::json!({"op": "call", "fn": "is_null", "args": [{"op": "col", "name": "x"}]});
        Condition::of(&is_null, &crate::schema::Schema::new(vec![column])).unwrap()
    }

    #[test]
    fn a_state_keeps_what_the_table_of_aggregations_says() {
        for law in &LAWS {
            for (input, kind) in law.results {
                let feature = WindowFeature {
                    name: "f".into(),
                    aggregation: law.aggregation,
                    column: input.map(|_| 0),
                    condition: law.has_condition().then(condition),
                    window: 48 * HOUR,
                    hop: HOUR,
                    bound: matches!(law.limit, Limit::Bound { .. }).then_some(7),
                    precision: None,
                    quantile: (law.keeps == Keeps::Bins).then(Quantile::default),
                    items: law.has_number().then_some(3),
                    edges: law.has_edges().then(|| [Cell::Int(0)].into()),
                    kind: *kind,
                    shape: WindowKind::Sliding,
                };
                let column = Column {
                    name: "x".into(),
                    kind: input.unwrap_or(Type::Int64),
                    nullable: true,
                };
                let layout = Layout::new(&[feature], &[column], 0, None);
                let slots: Vec<SlotKind> = layout.slots.iter().map(|slot| slot.kind.clone()).collect();
                let own: Vec<SlotKind> = slots
                    .iter()
                    .filter(|kind| !matches!(kind, SlotKind::Invalid { .. }))
                    .cloned()
                    .collect();
                let moments = |level| vec![SlotKind::Moments { column: 0, level }];
                let wanted = match (law.keeps, input) {
                    (Keeps::Count, None) if law.has_condition() => moments(Level::Count),
                    (Keeps::Count | Keeps::Sum, None) => vec![SlotKind::Events],
                    (Keeps::Count, Some(_)) => moments(Level::Count),
                    (Keeps::Sum, Some(_)) => moments(Level::Sum),
                    (Keeps::Squares, _) => moments(Level::Squares),
                    (Keeps::Bins, _) => vec![SlotKind::Bins {
                        column: 0,
                        grid: Quantile::default().grid,
                    }],
                    (Keeps::Least, _) => vec![SlotKind::Min { column: 0 }],
                    (Keeps::Greatest, _) => vec![SlotKind::Max { column: 0 }],
                    (Keeps::OldestCell, _) => vec![SlotKind::Oldest { column: 0 }],
                    (Keeps::OldestCells, _) => vec![SlotKind::Cells {
                        column: 0,
                        kept: 3,
                        which: Which::Oldest,
                    }],
                    (Keeps::Buckets, _) => vec![SlotKind::Buckets {
                        column: 0,
                        edges: [Cell::Int(0)].into(),
                    }],
                    (Keeps::Frequencies, _) => vec![SlotKind::Frequencies { column: 0, bound: 7 }],
                    (
                        Keeps::Distinct
                        | Keeps::NewestCell
                        | Keeps::NewestTime
                        | Keeps::NewestCells
                        | Keeps::NewestDifferent,
                        _,
                    ) => Vec::new(),
                };
                assert_eq!(own, wanted, "{} of {input:?}", law.name);
                assert_eq!(layout.distincts.len(), usize::from(law.keeps == Keeps::Distinct));
                assert_eq!(layout.lasts.len(), usize::from(law.keeps == Keeps::NewestCell));
                let invalid = match input {
                    Some(Type::Float64) => Some(false),
                    Some(Type::String) if law.keeps.gives_back() => Some(true),
                    _ => None,
                };
                let counted = invalid.map(|kept| SlotKind::Invalid { column: 0, kept });
                assert_eq!(slots.len() - own.len(), usize::from(counted.is_some()));
                assert!(
                    counted.is_none_or(|kind| slots.contains(&kind)),
                    "{} of {input:?}",
                    law.name
                );
                let empty = super::super::read::over_nothing(&layout);
                let wanted = match law.empty {
                    Empty::Null => Value::Null,
                    Empty::Zero if *kind == Type::Float64 => Value::Float(0.0),
                    Empty::Zero => Value::Int(0),
                    Empty::NoItems => Value::List(kind.element().unwrap(), [].into()),
                    Empty::Zeros => Value::List(&Type::Int64, [Value::Int(0), Value::Int(0)].into()),
                };
                assert!(empty.same(&wanted), "{}: {empty:?}", law.name);
                let lists = matches!(law.keeps, Keeps::NewestCells | Keeps::NewestDifferent);
                assert_eq!(layout.newer.len(), usize::from(lists));
            }
        }
    }
}
