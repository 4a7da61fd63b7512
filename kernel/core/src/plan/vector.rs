//! What one answer takes: which states to read, what to compute from them, in which order.
//!
//! Steps: from the asked features back to all that are needed → stored views in the order they were met →
//! on-demand views, each behind those it reads → every asked feature and every input gets its slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Project;
use super::view::{View, ViewDefinition};
use crate::definition::{Entity, EntityKey, OnDemandView};
use crate::fault::Fault;
use crate::keys;
use crate::schema::Column;

/// What an answer takes.
#[derive(Debug)]
pub struct Vector {
    /// The answer's features as `view:feature`, in its order.
    pub names: Vec<String>,
    /// Where each feature of the answer comes from, in its order.
    pub outputs: Vec<Slot>,
    /// The entities that the stored views are about, each once.
    pub entities: Vec<Entity>,
    /// All key columns of the entities, each once: what a request must bring.
    pub keys: Vec<EntityKey>,
    /// All request fields that are used, each once: what a request must bring.
    pub request: Vec<Column>,
    /// The stored views to read.
    pub stored: Vec<Stored>,
    /// The on-demand views to compute, each behind those that it reads.
    pub computed: Vec<Computed>,
}

/// Where a value comes from. A feature is named by its place in its view's declared order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// From a state.
    Stored {
        /// The place in [`Vector::stored`].
        view: usize,
        /// The feature.
        feature: usize,
    },
    /// From an expression.
    Computed {
        /// The place in [`Vector::computed`].
        view: usize,
        /// The feature.
        feature: usize,
    },
}

/// A stored view to read.
#[derive(Debug)]
pub struct Stored {
    /// The view: a window view or a latest view.
    pub view: Arc<View>,
    /// Its entity's place in [`Vector::entities`].
    pub entity: usize,
    /// The features that are needed, ascending.
    pub features: Vec<usize>,
    /// The key whose presence says that the store has all states of the view.
    pub sentinel: String,
    key_start: String,
    key_end: String,
}

impl Stored {
    /// The key of an entity's state; the head key of a window state.
    pub fn key(&self, entity_id: &str) -> String {
        [&self.key_start, entity_id, &self.key_end].concat()
    }
}

/// An on-demand view to compute.
#[derive(Debug)]
pub struct Computed {
    /// The view.
    pub view: Arc<View>,
    /// The features that are needed, ascending.
    pub features: Vec<usize>,
    /// Per request field of the view, its place in [`Vector::request`]; absent where no needed feature uses it.
    pub request: Vec<Option<usize>>,
    /// Per input of the view, where it comes from; absent where no needed feature uses it.
    pub inputs: Vec<Option<Slot>>,
}

impl Computed {
    /// The compiled definition.
    pub fn definition(&self) -> Option<&OnDemandView> {
        match &self.view.definition {
            ViewDefinition::OnDemand(view) => Some(view),
            _ => None,
        }
    }
}

impl Vector {
    /// The vector of these features (view and place in it). Pins have been checked: no cycle, no unknown view.
    pub(super) fn build(project: &Project, outputs: &[(usize, usize)]) -> Result<Self, Vec<Fault>> {
        let mut builder = Builder::new(project);
        for (view, feature) in outputs {
            builder.need(*view, *feature);
        }
        for (view, _) in outputs {
            builder.place(*view);
        }
        let slots: Option<Vec<Slot>> = outputs.iter().map(|output| builder.slot(*output)).collect();
        let mut vector = builder.vector;
        let mut faults = builder.faults;
        match slots {
            Some(slots) => vector.outputs = slots,
            None => faults.push(Fault::new(
                "$.features",
                "CYCLE",
                "the features read each other in a circle",
            )),
        }
        let name = |(view, feature): &(usize, usize)| {
            let view = &project.views[*view];
            format!("{}:{}", view.name(), view.feature_names()[*feature])
        };
        vector.names = outputs.iter().map(name).collect();
        if faults.is_empty() {
            Ok(vector)
        } else {
            Err(faults)
        }
    }
}

/// Where a view was placed.
#[derive(Clone, Copy)]
enum Place {
    Stored(usize),
    Computed(usize),
}

struct Builder<'a> {
    project: &'a Project,
    /// Per view, its needed features.
    needed: BTreeMap<usize, BTreeSet<usize>>,
    /// Where each view was placed, once it was.
    places: BTreeMap<usize, Place>,
    /// Views whose inputs are being placed.
    open: BTreeSet<usize>,
    vector: Vector,
    faults: Vec<Fault>,
}

impl<'a> Builder<'a> {
    fn new(project: &'a Project) -> Self {
        Self {
            project,
            needed: BTreeMap::new(),
            places: BTreeMap::new(),
            open: BTreeSet::new(),
            vector: Vector {
                names: Vec::new(),
                outputs: Vec::new(),
                entities: Vec::new(),
                keys: Vec::new(),
                request: Vec::new(),
                stored: Vec::new(),
                computed: Vec::new(),
            },
            faults: Vec::new(),
        }
    }

    /// Marks a feature and all that it reads.
    fn need(&mut self, view: usize, feature: usize) {
        if !self.needed.entry(view).or_default().insert(feature) {
            return;
        }
        let ViewDefinition::OnDemand(definition) = &self.project.views[view].definition else {
            return;
        };
        for input in
            used(definition, [feature]).filter_map(|place| place.checked_sub(definition.request.len()))
        {
            if let Some((view, feature)) = self.input(definition, input) {
                self.need(view, feature);
            }
        }
    }

    fn input(&self, definition: &OnDemandView, input: usize) -> Option<(usize, usize)> {
        let pin = &definition.inputs.get(input)?.feature;
        let view = *self
            .project
            .by_version
            .get(&format!("{}@{}", pin.view, pin.version))?;
        let feature = self.project.views[view].feature(&pin.feature)?;
        Some((view, feature))
    }

    /// Gives a view its place, behind the places of what it reads.
    fn place(&mut self, index: usize) {
        if self.places.contains_key(&index) || !self.open.insert(index) {
            return;
        }
        let view = Arc::clone(&self.project.views[index]);
        let features: Vec<usize> = self.needed.get(&index).into_iter().flatten().copied().collect();
        match (&view.definition, view.entity()) {
            (ViewDefinition::OnDemand(definition), _) => self.computed(index, &view, definition, features),
            (_, Some(entity)) => self.stored(index, &view, entity, features),
            (_, None) => {}
        }
    }

    fn stored(&mut self, index: usize, view: &Arc<View>, entity: &Entity, features: Vec<usize>) {
        let storage = keys::storage_version(&view.version).unwrap_or(&view.version);
        let (project, name) = (view.project(), view.name());
        let stored = Stored {
            view: Arc::clone(view),
            entity: self.entity(entity, view),
            features,
            sentinel: keys::sentinel_key(project, name, &view.version).unwrap_or_default(),
            key_start: format!("{{{project}:{}:", entity.name),
            key_end: format!("}}:{name}:v{storage}"),
        };
        let place = self.vector.stored.len();
        self.vector.stored.push(stored);
        self.places.insert(index, Place::Stored(place));
    }

    fn computed(&mut self, index: usize, view: &Arc<View>, definition: &OnDemandView, features: Vec<usize>) {
        let places: BTreeSet<usize> = used(definition, features.iter().copied()).collect();
        let fields = definition.request.len();
        let mut inputs = vec![None; definition.inputs.len()];
        for input in places.iter().filter_map(|place| place.checked_sub(fields)) {
            if let Some((source, feature)) = self.input(definition, input) {
                self.place(source);
                inputs[input] = self.slot((source, feature));
            }
        }
        let field = |(place, field): (usize, &Column)| {
            places.contains(&place).then(|| self.request_field(field, view))
        };
        let request = definition.request.iter().enumerate().map(field).collect();
        let place = self.vector.computed.len();
        self.vector.computed.push(Computed {
            view: Arc::clone(view),
            features,
            request,
            inputs,
        });
        self.places.insert(index, Place::Computed(place));
    }

    fn slot(&self, (view, feature): (usize, usize)) -> Option<Slot> {
        Some(match *self.places.get(&view)? {
            Place::Stored(view) => Slot::Stored { view, feature },
            Place::Computed(view) => Slot::Computed { view, feature },
        })
    }

    fn entity(&mut self, entity: &Entity, view: &View) -> usize {
        if let Some(place) = self.vector.entities.iter().position(|own| own == entity) {
            return place;
        }
        if self.vector.entities.iter().any(|own| own.name == entity.name) {
            let message = format!(
                "{} is about {:?} with other keys than another view here; one entity has one set of keys",
                view.pin(),
                entity.name
            );
            self.faults
                .push(Fault::new("$.features", "ENTITY_CONFLICT", message));
        }
        for key in &entity.keys {
            match self.vector.keys.iter().find(|own| own.name == key.name) {
                None => self.vector.keys.push(key.clone()),
                Some(own) if own.kind != key.kind => {
                    let message = format!(
                        "{} needs the key {:?} as {}, another view here as {}; they cannot be asked for together",
                        view.pin(),
                        key.name,
                        key.kind,
                        own.kind
                    );
                    self.faults
                        .push(Fault::new("$.features", "KEY_CONFLICT", message));
                }
                Some(_) => {}
            }
        }
        self.vector.entities.push(entity.clone());
        self.vector.entities.len() - 1
    }

    fn request_field(&mut self, field: &Column, view: &View) -> usize {
        let Some(place) = self.vector.request.iter().position(|own| own.name == field.name) else {
            self.vector.request.push(field.clone());
            return self.vector.request.len() - 1;
        };
        let own = self.vector.request[place].kind;
        if own != field.kind {
            let message = format!(
                "{} needs the request field {:?} as {}, another view here as {own}; they cannot be asked for together",
                view.pin(),
                field.name,
                field.kind
            );
            self.faults
                .push(Fault::new("$.features", "REQUEST_CONFLICT", message));
        }
        place
    }
}

/// The places in the row that these features read.
fn used(view: &OnDemandView, features: impl IntoIterator<Item = usize>) -> impl Iterator<Item = usize> {
    features
        .into_iter()
        .filter_map(|feature| view.features.get(feature))
        .flat_map(|feature| feature.expr.columns().iter().copied())
}
