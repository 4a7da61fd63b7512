//! Vectors: a list of features, compiled into what a request for them does.
//!
//! Every value has a slot: stored views fill theirs from their states, then on-demand features are computed in
//! an order in which each finds its inputs filled.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use skewless_core::definition::{Definition, Entity, FeatureRef, LatestView, OnDemandView, WindowView};
use skewless_core::keys;
use skewless_core::value::Type;

use crate::answer;

/// How many on-demand views may stand on one another.
const DEEPEST: usize = 16;

/// A view of any kind.
#[derive(Debug)]
// Views are shared behind pointers.
#[allow(clippy::large_enum_variant)]
pub(crate) enum View {
    Window(WindowView),
    Latest(LatestView),
    OnDemand(OnDemandView),
}

impl View {
    /// The view that a definition is.
    pub(crate) fn of(definition: Definition) -> Result<Self, String> {
        match definition {
            Definition::Window(view) => Ok(Self::Window(view)),
            Definition::Latest(view) => Ok(Self::Latest(view)),
            Definition::OnDemand(view) => Ok(Self::OnDemand(view)),
            Definition::Entity(_) | Definition::Source(_) | Definition::Service(_) => {
                Err("it is no view".to_owned())
            }
        }
    }

    pub(crate) fn project(&self) -> &str {
        match self {
            Self::Window(view) => &view.project,
            Self::Latest(view) => &view.project,
            Self::OnDemand(view) => &view.project,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Window(view) => &view.name,
            Self::Latest(view) => &view.name,
            Self::OnDemand(view) => &view.name,
        }
    }

    pub(crate) fn meaning(&self) -> &[u8; 32] {
        match self {
            Self::Window(view) => &view.meaning,
            Self::Latest(view) => &view.meaning,
            Self::OnDemand(view) => &view.meaning,
        }
    }

    /// The place of a feature in declared order.
    pub(crate) fn feature(&self, name: &str) -> Option<usize> {
        match self {
            Self::Window(view) => view.feature(name),
            Self::Latest(view) => view.feature(name),
            Self::OnDemand(view) => view.feature(name),
        }
    }

    /// Names in declared order.
    pub(crate) fn feature_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Window(view) => Box::new(view.features.iter().map(|feature| feature.name.as_str())),
            Self::Latest(view) => Box::new(view.features.iter().map(|feature| feature.name.as_str())),
            Self::OnDemand(view) => Box::new(view.features.iter().map(|feature| feature.name.as_str())),
        }
    }

    fn kind(&self, feature: usize) -> Option<Type> {
        match self {
            Self::Window(view) => view.features.get(feature).map(|feature| feature.kind),
            Self::Latest(view) => view.features.get(feature).map(|feature| feature.kind),
            Self::OnDemand(view) => view.features.get(feature).map(|feature| feature.kind),
        }
    }

    /// Whom a stored view is about.
    fn entity(&self) -> Option<&Entity> {
        match self {
            Self::Window(view) => Some(&view.entity),
            Self::Latest(view) => Some(&view.entity),
            Self::OnDemand(_) => None,
        }
    }
}

/// A feature of a view in a version.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) view: Arc<View>,
    pub(crate) version: String,
    /// The place in declared order.
    pub(crate) feature: usize,
}

/// A column that a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
}

/// A stored view and what is read from it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) view: Arc<View>,
    /// The place in [`Vector::entities`].
    pub(crate) entity: usize,
    /// A state's key is front, entity id, back.
    pub(crate) key_front: Vec<u8>,
    pub(crate) key_back: Vec<u8>,
    /// Whether a state has a second key, with `:b` behind it.
    pub(crate) has_body: bool,
    pub(crate) sentinel_key: Vec<u8>,
    /// What the sentinel says when the states are complete.
    pub(crate) sentinel: String,
    /// Which features go to which slots.
    pub(crate) features: Vec<(usize, usize)>,
}

impl Stored {
    /// How many keys a row has in the store.
    pub(crate) fn keys_per_row(&self) -> usize {
        1 + usize::from(self.has_body)
    }

    /// The view's name.
    pub(crate) fn name(&self) -> &str {
        self.view.name()
    }
}

/// Where an argument of an on-demand feature comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The expression does not look at it.
    Unused,
    /// The place in [`Vector::fields`].
    Field(usize),
    /// A slot that is filled before.
    Slot(usize),
}

/// One on-demand feature.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) view: Arc<View>,
    pub(crate) feature: usize,
    /// One per column of the view's row.
    pub(crate) arguments: Vec<Argument>,
    pub(crate) slot: usize,
}

/// A compiled list of features.
#[derive(Debug, Default)]
pub(crate) struct Vector {
    /// The meaning of the feature service; absent for a list.
    pub(crate) meaning: Option<[u8; 32]>,
    /// The features of the answer, as `view:feature`.
    pub(crate) features: Vec<String>,
    /// `feature_names` as every answer has them.
    pub(crate) names: Bytes,
    /// The slot of each feature of the answer.
    pub(crate) outputs: Vec<usize>,
    /// The key columns of each entity, by place in `keys`.
    pub(crate) entities: Vec<Vec<usize>>,
    /// The key columns that a request must bring, exactly.
    pub(crate) keys: Vec<Column>,
    /// The request fields that a request must bring, at least.
    pub(crate) fields: Vec<Column>,
    /// The names of request fields that it may bring: all that the views declare, in order.
    pub(crate) known_fields: Vec<String>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) steps: Vec<Step>,
    /// Slots per row.
    pub(crate) slots: usize,
}

impl Vector {
    /// Compiles a list of features; `find` resolves the pins of on-demand inputs.
    pub(crate) fn compile(
        wanted: &[Wanted],
        meaning: Option<[u8; 32]>,
        find: impl Fn(&FeatureRef) -> Result<Wanted, String>,
    ) -> Result<Self, String> {
        let mut builder = Builder {
            vector: Self {
                meaning,
                ..Self::default()
            },
            find,
            slots: HashMap::new(),
            stored: HashMap::new(),
            entities: HashMap::new(),
        };
        for feature in wanted {
            let slot = builder.slot(feature, 0)?;
            builder.vector.outputs.push(slot);
        }
        let mut vector = builder.vector;
        vector.features = wanted
            .iter()
            .map(|feature| {
                let name = feature
                    .view
                    .feature_names()
                    .nth(feature.feature)
                    .unwrap_or_default();
                format!("{}:{name}", feature.view.name())
            })
            .collect();
        vector.names = answer::names(vector.features.iter().map(String::as_str));
        Ok(vector)
    }
}

struct Builder<F> {
    vector: Vector,
    find: F,
    /// By view, version and feature.
    slots: HashMap<(String, String, usize), usize>,
    /// Places in `vector.stored`, by view and version.
    stored: HashMap<(String, String), usize>,
    /// Places in `vector.entities`.
    entities: HashMap<String, (Entity, usize)>,
}

impl<F: Fn(&FeatureRef) -> Result<Wanted, String>> Builder<F> {
    /// The slot of a feature, planned if it is new.
    fn slot(&mut self, wanted: &Wanted, depth: usize) -> Result<usize, String> {
        let key = (
            wanted.view.name().to_owned(),
            wanted.version.clone(),
            wanted.feature,
        );
        if let Some(&slot) = self.slots.get(&key) {
            return Ok(slot);
        }
        let slot = match &*wanted.view {
            View::OnDemand(view) => {
                let arguments = self.arguments(view, wanted.feature, depth)?;
                let slot = self.new_slot();
                self.vector.steps.push(Step {
                    view: Arc::clone(&wanted.view),
                    feature: wanted.feature,
                    arguments,
                    slot,
                });
                slot
            }
            View::Window(_) | View::Latest(_) => {
                let place = self.stored(wanted)?;
                let slot = self.new_slot();
                self.vector.stored[place].features.push((wanted.feature, slot));
                slot
            }
        };
        self.slots.insert(key, slot);
        Ok(slot)
    }

    fn new_slot(&mut self) -> usize {
        self.vector.slots += 1;
        self.vector.slots - 1
    }

    fn arguments(
        &mut self,
        view: &OnDemandView,
        feature: usize,
        depth: usize,
    ) -> Result<Vec<Argument>, String> {
        if depth == DEEPEST {
            return Err(format!(
                "more than {DEEPEST} on-demand views stand on one another, or in a circle, at {}",
                view.name
            ));
        }
        for field in &view.request {
            if let Err(place) = self.vector.known_fields.binary_search(&field.name) {
                self.vector.known_fields.insert(place, field.name.clone());
            }
        }
        let mut arguments = vec![Argument::Unused; view.row.len()];
        for &place in view.features[feature].columns() {
            arguments[place] = match place.checked_sub(view.request.len()) {
                None => {
                    let field = &view.request[place];
                    let column = Column {
                        name: field.name.clone(),
                        kind: field.kind,
                    };
                    Argument::Field(add(&mut self.vector.fields, column, "request field")?)
                }
                Some(place) => {
                    let input = &view.inputs[place];
                    let wanted = (self.find)(&input.feature)?;
                    if wanted.view.kind(wanted.feature) != Some(input.kind) {
                        return Err(format!(
                            "the input {} of {} has type {}, its feature another",
                            input.name, view.name, input.kind
                        ));
                    }
                    Argument::Slot(self.slot(&wanted, depth + 1)?)
                }
            };
        }
        Ok(arguments)
    }

    /// The place of a stored view, planned if it is new.
    fn stored(&mut self, wanted: &Wanted) -> Result<usize, String> {
        let key = (wanted.view.name().to_owned(), wanted.version.clone());
        if let Some(&place) = self.stored.get(&key) {
            return Ok(place);
        }
        let view = &wanted.view;
        let entity = view.entity().ok_or("a stored view has an entity")?;
        let told = |error: keys::KeyError| error.to_string();
        // The key of no entity: what stands before and behind the id.
        let around =
            keys::state_key(view.project(), &entity.name, "", view.name(), &wanted.version).map_err(told)?;
        let front = around.find('}').ok_or("a key has braces")?;
        let sentinel = keys::sentinel_key(view.project(), view.name(), &wanted.version).map_err(told)?;
        let stored = Stored {
            view: Arc::clone(view),
            entity: self.entity(entity)?,
            key_front: around.as_bytes()[..front].to_vec(),
            key_back: around.as_bytes()[front..].to_vec(),
            has_body: matches!(**view, View::Window(_)),
            sentinel_key: sentinel.into_bytes(),
            sentinel: hexadecimal(view.meaning()),
            features: Vec::new(),
        };
        self.vector.stored.push(stored);
        let place = self.vector.stored.len() - 1;
        self.stored.insert(key, place);
        Ok(place)
    }

    fn entity(&mut self, entity: &Entity) -> Result<usize, String> {
        if let Some((known, place)) = self.entities.get(&entity.name) {
            if known != entity {
                return Err(format!("two entities called {} have different keys", entity.name));
            }
            return Ok(*place);
        }
        let mut columns = Vec::with_capacity(entity.keys.len());
        for key in &entity.keys {
            let column = Column {
                name: key.name.clone(),
                kind: key.kind,
            };
            columns.push(add(&mut self.vector.keys, column, "entity key")?);
        }
        self.vector.entities.push(columns);
        let place = self.vector.entities.len() - 1;
        self.entities.insert(entity.name.clone(), (entity.clone(), place));
        Ok(place)
    }
}

/// The place of a column, added if it is new.
fn add(columns: &mut Vec<Column>, column: Column, what: &str) -> Result<usize, String> {
    if let Some(place) = columns.iter().position(|known| known.name == column.name) {
        return if columns[place] == column {
            Ok(place)
        } else {
            Err(format!(
                "the {what} {} is wanted as {} and as {}; ask for these features in two requests",
                column.name, columns[place].kind, column.kind
            ))
        };
    }
    columns.push(column);
    Ok(columns.len() - 1)
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
