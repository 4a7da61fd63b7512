//! The catalogue: every view and feature service of a plan, compiled and found by the name a request gives.
//!
//! A definition that cannot be compiled costs itself and what is pinned to it, nothing else: asked for by
//! name it is refused with the reason why.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use skewless_core::definition::{self, Definition, FeatureRef, FeatureService};
use skewless_core::fault::Fault;
use tonic::Code;

use crate::refusal::{Refusal, quoted};
use crate::vector::{Vector, View, Wanted};
use crate::wire::Reason;

/// Lists of features are compiled once and kept, up to so many per plan.
const MOST_LISTS: usize = 1_024;
/// Names that a refusal shows at most.
const MOST_SHOWN: usize = 5;

/// A plan as its publisher writes it.
#[derive(Deserialize)]
struct Plan {
    revision: i64,
    projects: HashMap<String, Documents>,
}

#[derive(Deserialize)]
struct Documents {
    views: Vec<Document>,
    services: Vec<Document>,
}

/// A meaning document, as text so that its bytes are those that were hashed, under its version.
#[derive(Deserialize)]
struct Document {
    version: String,
    meaning: String,
}

/// What is served, or why it is not.
type Served<T> = Result<Arc<T>, String>;

/// A compiled plan.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The revision of the registry it was made from.
    pub(crate) revision: i64,
    projects: HashMap<String, Project>,
    /// Views by meaning, to be used again by the next plan.
    by_meaning: HashMap<[u8; 32], Arc<View>>,
}

/// One project of a plan.
#[derive(Debug, Default)]
struct Project {
    name: String,
    /// By `name@version`.
    views: HashMap<String, Served<View>>,
    /// By `name@version`.
    services: HashMap<String, Served<Vector>>,
    /// Vectors of lists of features, by the list.
    lists: RwLock<HashMap<Vec<String>, Arc<Vector>>>,
}

impl Catalogue {
    /// Compiles a plan, using again what an earlier one compiled. Gives also the faults of what is not served.
    pub(crate) fn compile(json: &[u8], before: Option<&Self>) -> Result<(Self, Vec<String>), String> {
        let plan: Plan =
            serde_json::from_slice(json).map_err(|error| format!("the plan cannot be read: {error}"))?;
        let mut catalogue = Self {
            revision: plan.revision,
            projects: HashMap::with_capacity(plan.projects.len()),
            by_meaning: HashMap::new(),
        };
        let mut faults = Vec::new();
        for (name, documents) in plan.projects {
            let mut project = Project {
                name,
                ..Project::default()
            };
            for document in &documents.views {
                let (name, view) = catalogue.view(&project.name, document, before);
                let key = format!("{name}@{}", document.version);
                if let Err(fault) = &view {
                    faults.push(format!("view {key} of {}: {fault}", project.name));
                }
                project.views.insert(key, view);
            }
            for document in &documents.services {
                let (name, vector) = project.service(document);
                let key = format!("{name}@{}", document.version);
                if let Err(fault) = &vector {
                    faults.push(format!("feature service {key} of {}: {fault}", project.name));
                }
                project.services.insert(key, vector.map(Arc::new));
            }
            catalogue.projects.insert(project.name.clone(), project);
        }
        Ok((catalogue, faults))
    }

    /// The name that a document gives itself, and its view.
    fn view(&mut self, project: &str, document: &Document, before: Option<&Self>) -> (String, Served<View>) {
        let bytes = document.meaning.as_bytes();
        let meaning: [u8; 32] = Sha256::digest(bytes).into();
        let known = |catalogue: &Self| catalogue.by_meaning.get(&meaning).map(Arc::clone);
        let view = match known(self).or_else(|| before.and_then(known)) {
            Some(view) => view,
            None => match definition::compile(bytes)
                .map_err(|faults| told(&faults))
                .and_then(View::of)
            {
                Ok(view) => Arc::new(view),
                Err(fault) => return (name_in(&document.meaning), Err(fault)),
            },
        };
        self.by_meaning.insert(meaning, Arc::clone(&view));
        let name = view.name().to_owned();
        if view.project() == project {
            (name, Ok(view))
        } else {
            (
                name,
                Err(format!("its meaning is of project {}", quoted(view.project()))),
            )
        }
    }

    /// The vector that a request asks for: of a service, or of a list of features.
    pub(crate) fn vector(
        &self,
        project: &str,
        service: &str,
        features: &[String],
    ) -> Result<Arc<Vector>, Refusal> {
        let Some(found) = self.projects.get(project) else {
            let reason = if service.is_empty() {
                Reason::UnknownFeature
            } else {
                Reason::UnknownFeatureService
            };
            let text = format!(
                "the project {} has no definitions at revision {}; check its name",
                quoted(project),
                self.revision
            );
            return Err(Refusal::new(Code::NotFound, reason, text)
                .with("project", project)
                .with("revision", self.revision.to_string()));
        };
        let vector = if service.is_empty() {
            found.list(features)
        } else {
            found.vector(service)
        };
        vector.map_err(|refusal| refusal.with("revision", self.revision.to_string()))
    }

    /// Refuses a project without definitions.
    pub(crate) fn check_project(&self, project: &str) -> Result<(), Refusal> {
        if self.projects.contains_key(project) {
            return Ok(());
        }
        let text = format!(
            "the project {} has no definitions at revision {}; check its name",
            quoted(project),
            self.revision
        );
        Err(Refusal::new(Code::NotFound, Reason::UnknownResource, text)
            .with("project", project)
            .with("revision", self.revision.to_string()))
    }
}

impl Project {
    fn service(&self, document: &Document) -> (String, Result<Vector, String>) {
        let compiled = definition::compile(document.meaning.as_bytes()).map_err(|faults| told(&faults));
        match compiled {
            Ok(Definition::Service(service)) if service.project == self.name => {
                let vector = self.compile(&service);
                (service.name, vector)
            }
            Ok(Definition::Service(service)) => {
                let fault = format!("its meaning is of project {}", quoted(&service.project));
                (service.name, Err(fault))
            }
            Ok(_) => (
                name_in(&document.meaning),
                Err("it is no feature service".to_owned()),
            ),
            Err(fault) => (name_in(&document.meaning), Err(fault)),
        }
    }

    fn compile(&self, service: &FeatureService) -> Result<Vector, String> {
        let wanted = service
            .features
            .iter()
            .map(|pin| self.pinned(pin))
            .collect::<Result<Vec<_>, _>>()?;
        Vector::compile(&wanted, Some(service.meaning), |pin| self.pinned(pin))
    }

    /// The feature behind an exact pin.
    fn pinned(&self, pin: &FeatureRef) -> Result<Wanted, String> {
        let key = format!("{}@{}", pin.view, pin.version);
        let view = match self.views.get(&key) {
            Some(Ok(view)) => view,
            Some(Err(fault)) => return Err(format!("the view {key} is not served: {fault}")),
            None => return Err(format!("the view {key} is not in the plan")),
        };
        if *view.meaning() != pin.meaning {
            return Err(format!("it pins another meaning of the view {key}"));
        }
        let Some(feature) = view.feature(&pin.feature) else {
            return Err(format!("the view {key} has no feature {}", quoted(&pin.feature)));
        };
        Ok(Wanted {
            view: Arc::clone(view),
            version: pin.version.clone(),
            feature,
        })
    }

    fn vector(&self, service: &str) -> Result<Arc<Vector>, Refusal> {
        let refused = |text| {
            Refusal::new(Code::NotFound, Reason::UnknownFeatureService, text)
                .with("feature_service", service)
                .with("project", self.name.as_str())
        };
        match self.services.get(service) {
            Some(Ok(vector)) => Ok(Arc::clone(vector)),
            Some(Err(fault)) => Err(refused(format!(
                "the feature service {service} is not served: {fault}"
            ))),
            None => Err(refused(format!(
                "there is no feature service {}; write name@MAJOR.MINOR.PATCH{}",
                quoted(service),
                known(service, self.services.keys())
            ))),
        }
    }

    fn list(&self, features: &[String]) -> Result<Arc<Vector>, Refusal> {
        if let Some(vector) = self
            .lists
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(features)
        {
            return Ok(Arc::clone(vector));
        }
        let mut wanted = Vec::with_capacity(features.len());
        for (place, name) in features.iter().enumerate() {
            if let Some(first) = features[..place].iter().position(|other| other == name) {
                return Err(Refusal::field(
                    Reason::InvalidArgument,
                    format!("features[{place}]"),
                    format!("repeats features[{first}]; ask for each feature once"),
                ));
            }
            wanted.push(
                self.named(name)
                    .map_err(|text| unknown_feature(place, name, &self.name, &text))?,
            );
        }
        let vector = Vector::compile(&wanted, None, |pin| self.pinned(pin))
            .map(Arc::new)
            .map_err(|text| Refusal::new(Code::NotFound, Reason::UnknownFeature, text))?;
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        if lists.len() < MOST_LISTS {
            lists.insert(features.to_vec(), Arc::clone(&vector));
        }
        Ok(vector)
    }

    /// The feature called `view@version:feature`.
    fn named(&self, name: &str) -> Result<Wanted, String> {
        const FORM: &str = "write view@MAJOR.MINOR.PATCH:feature";
        let Some((key, feature)) = name.split_once(':') else {
            return Err(format!("{} is no feature; {FORM}", quoted(name)));
        };
        let Some((_, version)) = key.split_once('@') else {
            return Err(format!("{} names no version; {FORM}", quoted(name)));
        };
        match self.views.get(key) {
            Some(Ok(view)) => match view.feature(feature) {
                Some(place) => Ok(Wanted {
                    view: Arc::clone(view),
                    version: version.to_owned(),
                    feature: place,
                }),
                None => Err(format!(
                    "the view {key} has no feature {}{}",
                    quoted(feature),
                    known(feature, view.feature_names())
                )),
            },
            Some(Err(fault)) => Err(format!("the view {key} is not served: {fault}")),
            None => Err(format!(
                "there is no view {}; {FORM}{}",
                quoted(key),
                known(key, self.views.keys())
            )),
        }
    }
}

fn unknown_feature(place: usize, name: &str, project: &str, text: &str) -> Refusal {
    Refusal::at(
        Code::NotFound,
        Reason::UnknownFeature,
        format!("features[{place}]"),
        text,
    )
    .with("feature", name)
    .with("project", project)
}

/// What there is instead: other versions of the same name first, then the names nearest in the alphabet.
fn known<'a>(asked: &str, names: impl Iterator<Item = impl AsRef<str> + 'a>) -> String {
    let base = asked.split('@').next().unwrap_or(asked);
    let common = |name: &str| {
        let same = base.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        let whole = name.split('@').next() == Some(base);
        (!whole, usize::MAX - same)
    };
    let mut all: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    all.sort_by(|a, b| (common(a), a).cmp(&(common(b), b)));
    let more = all.len().saturating_sub(MOST_SHOWN);
    all.truncate(MOST_SHOWN);
    match (all.is_empty(), more) {
        (true, _) => "; there is none".to_owned(),
        (false, 0) => format!("; there are {}", all.join(", ")),
        (false, _) => format!("; there are {} and {more} more", all.join(", ")),
    }
}

fn told(faults: &[Fault]) -> String {
    match faults {
        [] => "it cannot be compiled".to_owned(),
        [fault] => fault.to_string(),
        [fault, rest @ ..] => format!("{fault} (and {} more)", rest.len()),
    }
}

/// The name in a document that cannot be compiled; for messages and look-ups.
fn name_in(meaning: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str::<Named>(meaning).map_or_else(|_| "(unnamed)".to_owned(), |named| named.name)
}
