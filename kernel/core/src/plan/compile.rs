//! From a plan's JSON to compiled projects: every pin is followed and every fault is told at once.

use std::sync::Arc;

use super::document::{self, Pinned, ProjectDocument};
use super::vector::Vector;
use super::view::{View, ViewDefinition};
use super::{Plan, Project, Service};
use crate::definition::{self, Definition, FeatureRef, FeatureService};
use crate::fault::Fault;
use crate::keys::storage_version;

/// How many on-demand views may stand below each other.
pub(super) const MOST_DEEP: usize = 32;

/// Compiles `{"revision":n,"projects":{name:{"views":[{"version","meaning"}],"services":[…]}}}`, where a meaning is
/// the text of the canonical document. All faults at once: the document's own, unknown pins, hashes that differ
/// from the pinned ones, cycles.
pub fn compile(json: &[u8]) -> Result<Plan, Vec<Fault>> {
    let document = document::read(json)?;
    let mut plan = Plan {
        revision: document.revision,
        ..Plan::default()
    };
    let mut faults = Vec::new();
    for (name, document) in document.projects {
        let path = format!("$.projects.{name}");
        let mut compiler = Compiler {
            project: Project::default(),
            name: &name,
            places: Vec::new(),
            faults: Vec::new(),
        };
        compiler.views(&document, &path);
        compiler.check_inputs(&path);
        compiler.services(&document, &path);
        let Compiler {
            project, faults: own, ..
        } = compiler;
        faults.extend(own);
        plan.projects.insert(name, project);
    }
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

struct Compiler<'a> {
    project: Project,
    name: &'a str,
    /// Per view of the project, its place in the document: views that did not compile are not in the project.
    places: Vec<usize>,
    faults: Vec<Fault>,
}

impl Compiler<'_> {
    fn fault(&mut self, path: impl Into<String>, reason: &'static str, message: impl Into<String>) {
        self.faults.push(Fault::new(path, reason, message));
    }

    fn views(&mut self, document: &ProjectDocument, path: &str) {
        for (place, pinned) in document.views.iter().enumerate() {
            let path = format!("{path}.views[{place}]");
            let definition = match self.definition(pinned, &path) {
                Some(Definition::Window(view)) => ViewDefinition::Window(Box::new(view)),
                Some(Definition::Latest(view)) => ViewDefinition::Latest(Box::new(view)),
                Some(Definition::OnDemand(view)) => ViewDefinition::OnDemand(Box::new(view)),
                Some(_) => {
                    self.fault(format!("{path}.meaning.kind"), "WRONG_KIND", "this is no view");
                    continue;
                }
                None => continue,
            };
            let view = View {
                version: pinned.version.clone(),
                definition,
            };
            self.check_project(view.project(), &path);
            let index = self.project.views.len();
            let pin = view.pin();
            if self.project.by_version.insert(pin.clone(), index).is_some() {
                self.fault(
                    &path,
                    "DUPLICATE_VERSION",
                    format!("{pin} stands here a second time"),
                );
            }
            self.project.by_meaning.entry(*view.meaning()).or_insert(index);
            self.project.views.push(Arc::new(view));
            self.places.push(place);
        }
    }

    fn definition(&mut self, pinned: &Pinned, path: &str) -> Option<Definition> {
        if storage_version(&pinned.version).is_none_or(|storage| storage.len() == pinned.version.len()) {
            let message = format!("{:?} is no version; write MAJOR.MINOR.PATCH", pinned.version);
            self.fault(format!("{path}.version"), "BAD_VERSION", message);
        }
        match definition::compile(pinned.meaning.as_bytes()) {
            Ok(definition) => Some(definition),
            Err(faults) => {
                let place = format!("{path}.meaning");
                self.faults
                    .extend(faults.into_iter().map(|fault| fault.below(&place)));
                None
            }
        }
    }

    fn check_project(&mut self, own: &str, path: &str) {
        if own != self.name {
            let message = format!("the definition is of project {own:?}, not {:?}", self.name);
            self.fault(format!("{path}.meaning.project"), "WRONG_PROJECT", message);
        }
    }

    /// Follows what on-demand views read.
    fn check_inputs(&mut self, path: &str) {
        for (index, view) in self.project.views.clone().iter().enumerate() {
            let place = self.places[index];
            let ViewDefinition::OnDemand(definition) = &view.definition else {
                continue;
            };
            for (number, input) in definition.inputs.iter().enumerate() {
                let path = format!("{path}.views[{place}].meaning.inputs[{number}]");
                let Some((source, feature)) = self.follow(&input.feature, &path) else {
                    continue;
                };
                let kind = self.project.views[source].feature_type(feature);
                if let Some(kind) = kind.filter(|kind| *kind != input.kind) {
                    let message = format!("the feature has type {kind}, the input {}", input.kind);
                    self.fault(format!("{path}.type"), "TYPE_MISMATCH", message);
                }
            }
        }
        self.refuse_cycles(path);
    }

    /// The view and feature of a pin.
    fn follow(&mut self, pin: &FeatureRef, path: &str) -> Option<(usize, usize)> {
        let name = format!("{}@{}", pin.view, pin.version);
        let Some(index) = self.project.by_version.get(&name).copied() else {
            let message = self.project.unknown_view(&name);
            self.fault(path, "UNKNOWN_VIEW", message);
            return None;
        };
        let view = Arc::clone(&self.project.views[index]);
        if *view.meaning() != pin.meaning {
            let message = format!("the pinned meaning of {name} is not the one it has; pin it again");
            self.fault(format!("{path}.meaning"), "MEANING_MISMATCH", message);
            return None;
        }
        let Some(feature) = view.feature(&pin.feature) else {
            let has = view.feature_names().join(", ");
            let message = format!("{name} has no feature {:?}; it has {has}", pin.feature);
            self.fault(format!("{path}.feature"), "UNKNOWN_FEATURE", message);
            return None;
        };
        Some((index, feature))
    }

    /// A pinned hash cannot be on a cycle, a version can: a cycle is told beside the hashes that differ.
    fn refuse_cycles(&mut self, path: &str) {
        let mut walk = Walk {
            project: &self.project,
            trail: Vec::new(),
            depths: vec![None; self.project.views.len()],
        };
        let pin = |view: &usize| self.project.views[*view].pin();
        let mut faults = Vec::new();
        for start in 0..self.project.views.len() {
            walk.trail.clear();
            let (view, reason, message) = match walk.depth(start) {
                Ok(_) => continue,
                Err(Broken::Cycle(cycle)) => {
                    let names: Vec<String> = cycle.iter().map(pin).collect();
                    let message = format!("views read each other in a circle: {}", names.join(" -> "));
                    (cycle[0], "CYCLE", message)
                }
                Err(Broken::TooDeep) => {
                    let message = format!("on-demand views read each other more than {MOST_DEEP} deep");
                    (start, "VIEWS_TOO_DEEP", message)
                }
            };
            let place = self.places[view];
            faults.push(Fault::new(format!("{path}.views[{place}]"), reason, message));
        }
        self.faults.extend(faults);
    }

    fn services(&mut self, document: &ProjectDocument, path: &str) {
        for (place, pinned) in document.services.iter().enumerate() {
            let path = format!("{path}.services[{place}]");
            let service = match self.definition(pinned, &path) {
                Some(Definition::Service(service)) => service,
                Some(_) => {
                    self.fault(
                        format!("{path}.meaning.kind"),
                        "WRONG_KIND",
                        "this is no feature service",
                    );
                    continue;
                }
                None => continue,
            };
            self.check_project(&service.project, &path);
            let Some(vector) = self.service_vector(&service, &path) else {
                continue;
            };
            let pin = format!("{}@{}", service.name, pinned.version);
            let service = Service {
                name: service.name,
                version: pinned.version.clone(),
                meaning: service.meaning,
                vector,
            };
            if self
                .project
                .services
                .insert(pin.clone(), Arc::new(service))
                .is_some()
            {
                self.fault(
                    &path,
                    "DUPLICATE_VERSION",
                    format!("{pin} stands here a second time"),
                );
            }
        }
    }

    fn service_vector(&mut self, service: &FeatureService, path: &str) -> Option<Vector> {
        let found: Vec<Option<(usize, usize)>> = service
            .features
            .iter()
            .enumerate()
            .map(|(number, pin)| self.follow(pin, &format!("{path}.meaning.features[{number}]")))
            .collect();
        let outputs = found.into_iter().collect::<Option<Vec<_>>>()?;
        // What the views read may be faulty, which was told already.
        if !self.faults.is_empty() {
            return None;
        }
        match Vector::build(&self.project, &outputs) {
            Ok(vector) => Some(vector),
            Err(faults) => {
                let place = format!("{path}.meaning");
                self.faults
                    .extend(faults.into_iter().map(|fault| fault.below(&place)));
                None
            }
        }
    }
}

/// Why the views below a view cannot be put in order.
enum Broken {
    /// A closed way: its first view stands at its end again.
    Cycle(Vec<usize>),
    /// More than [`MOST_DEEP`] on-demand views below each other.
    TooDeep,
}

/// A walk along what views read.
struct Walk<'a> {
    project: &'a Project,
    trail: Vec<usize>,
    /// How deep the views below each view go; absent until it was walked.
    depths: Vec<Option<usize>>,
}

impl Walk<'_> {
    /// How many on-demand views stand below each other from here; 0 for a stored view.
    fn depth(&mut self, start: usize) -> Result<usize, Broken> {
        if let Some(place) = self.trail.iter().position(|view| *view == start) {
            let mut cycle = self.trail[place..].to_vec();
            cycle.push(start);
            return Err(Broken::Cycle(cycle));
        }
        if let Some(depth) = self.depths[start] {
            return Ok(depth);
        }
        let ViewDefinition::OnDemand(view) = &self.project.views[start].definition else {
            return Ok(0);
        };
        if self.trail.len() == MOST_DEEP {
            return Err(Broken::TooDeep);
        }
        // A view that is broken is told once; the others on its way are walked as if it ended there.
        self.depths[start] = Some(0);
        self.trail.push(start);
        let mut below = 0;
        for input in &view.inputs {
            let pin = format!("{}@{}", input.feature.view, input.feature.version);
            if let Some(next) = self.project.by_version.get(&pin) {
                below = below.max(self.depth(*next)?);
            }
        }
        self.trail.pop();
        self.depths[start] = Some(below + 1);
        if below == MOST_DEEP {
            return Err(Broken::TooDeep);
        }
        Ok(below + 1)
    }
}
