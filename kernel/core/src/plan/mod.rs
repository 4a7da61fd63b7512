//! Plans: what an online server needs to answer every feature of a catalogue, decided before the first request.
//!
//! Steps: JSON (`document`) → compiled views and services of each project, their pins checked (`compile`) → one
//! `vector` per service or list of features: which states to read, what to compute from them and in which order.

mod compile;
mod document;
#[cfg(test)]
mod tests;
mod vector;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use compile::compile;
pub use vector::{Computed, Slot, Stored, Vector};
pub use view::{View, ViewDefinition};

use crate::definition::limits;
use crate::fault::Fault;

/// All that a server serves, at one revision of the catalogue.
#[derive(Debug, Default)]
pub struct Plan {
    /// The catalogue's revision.
    pub revision: u64,
    /// By name.
    pub projects: BTreeMap<String, Project>,
}

/// What one project serves.
#[derive(Debug, Default)]
pub struct Project {
    views: Vec<Arc<View>>,
    by_version: HashMap<String, usize>,
    by_meaning: HashMap<[u8; 32], usize>,
    services: HashMap<String, Arc<Service>>,
}

/// A feature service, ready to be answered.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its full version.
    pub version: String,
    /// The hash of its meaning.
    pub meaning: [u8; 32],
    /// What its answer takes.
    pub vector: Vector,
}

impl Project {
    /// All views, in the order of the plan.
    pub fn views(&self) -> &[Arc<View>] {
        &self.views
    }

    /// The view `name@MAJOR.MINOR.PATCH`.
    pub fn view(&self, pin: &str) -> Option<&Arc<View>> {
        self.views.get(*self.by_version.get(pin)?)
    }

    /// A view of this meaning. Versions that differ only outside the meaning share one.
    pub fn view_of_meaning(&self, meaning: &[u8; 32]) -> Option<&Arc<View>> {
        self.views.get(*self.by_meaning.get(meaning)?)
    }

    /// The service `name@MAJOR.MINOR.PATCH`.
    pub fn service(&self, pin: &str) -> Option<&Arc<Service>> {
        self.services.get(pin)
    }

    /// All services, in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// What an answer takes that has these features (`view@MAJOR.MINOR.PATCH:feature`), in this order. All faults
    /// at once, with paths of the form `$.features[n]`.
    pub fn vector(&self, features: &[&str]) -> Result<Vector, Vec<Fault>> {
        let most = limits::FEATURES_PER_SERVICE;
        if features.is_empty() || features.len() > most {
            let message = format!("ask for 1 to {most} features, not {}", features.len());
            return Err(vec![Fault::new("$.features", "WRONG_COUNT", message)]);
        }
        let mut faults = Vec::new();
        let mut outputs = Vec::with_capacity(features.len());
        for (place, text) in features.iter().enumerate() {
            match self.find(text) {
                Ok(found) => outputs.push(found),
                Err((reason, message)) => {
                    faults.push(Fault::new(format!("$.features[{place}]"), reason, message));
                }
            }
        }
        if faults.is_empty() {
            Vector::build(self, &outputs)
        } else {
            Err(faults)
        }
    }

    /// The view and feature that `view@MAJOR.MINOR.PATCH:feature` names.
    fn find(&self, text: &str) -> Result<(usize, usize), (&'static str, String)> {
        let Some((pin, feature)) = text.split_once(':').filter(|(pin, _)| pin.contains('@')) else {
            let message = format!("{text:?} names no feature; write view@MAJOR.MINOR.PATCH:feature");
            return Err(("BAD_FEATURE_NAME", message));
        };
        let view = *self
            .by_version
            .get(pin)
            .ok_or_else(|| ("UNKNOWN_VIEW", self.unknown_view(pin)))?;
        let own = &self.views[view];
        let feature = own.feature(feature).ok_or_else(|| {
            let message = format!(
                "{pin} has no feature {feature:?}; it has {}",
                own.feature_names().join(", ")
            );
            ("UNKNOWN_FEATURE", message)
        })?;
        Ok((view, feature))
    }

    /// Says that a view is not there, and which versions of it are.
    fn unknown_view(&self, pin: &str) -> String {
        let name = pin.split('@').next().unwrap_or(pin);
        let mut versions: Vec<&str> = self
            .views
            .iter()
            .filter(|view| view.name() == name)
            .map(|view| view.version.as_str())
            .collect();
        versions.sort_unstable();
        if versions.is_empty() {
            format!("the project has no view {name:?}")
        } else {
            format!("there is no {pin}; {name} has {}", versions.join(", "))
        }
    }
}
