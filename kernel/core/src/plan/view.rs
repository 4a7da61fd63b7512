//! A view of a plan: one compiled definition under its version.

use crate::definition::{Entity, LatestView, OnDemandView, WindowView};
use crate::token::{TokenView, ViewKind};
use crate::value::Type;

/// A view under its version.
#[derive(Debug)]
pub struct View {
    /// Its full version.
    pub version: String,
    /// What it means.
    pub definition: ViewDefinition,
}

/// The kinds of views.
#[derive(Debug)]
pub enum ViewDefinition {
    /// Aggregates over windows.
    Window(Box<WindowView>),
    /// The newest row.
    Latest(Box<LatestView>),
    /// Expressions at request time.
    OnDemand(Box<OnDemandView>),
}

impl View {
    /// The project.
    pub fn project(&self) -> &str {
        match &self.definition {
            ViewDefinition::Window(view) => &view.project,
            ViewDefinition::Latest(view) => &view.project,
            ViewDefinition::OnDemand(view) => &view.project,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        match &self.definition {
            ViewDefinition::Window(view) => &view.name,
            ViewDefinition::Latest(view) => &view.name,
            ViewDefinition::OnDemand(view) => &view.name,
        }
    }

    /// `name@MAJOR.MINOR.PATCH`.
    pub fn pin(&self) -> String {
        format!("{}@{}", self.name(), self.version)
    }

    /// The hash of its meaning.
    pub fn meaning(&self) -> &[u8; 32] {
        match &self.definition {
            ViewDefinition::Window(view) => &view.meaning,
            ViewDefinition::Latest(view) => &view.meaning,
            ViewDefinition::OnDemand(view) => &view.meaning,
        }
    }

    /// Whom the features are about; absent for an on-demand view.
    pub fn entity(&self) -> Option<&Entity> {
        match &self.definition {
            ViewDefinition::Window(view) => Some(&view.entity),
            ViewDefinition::Latest(view) => Some(&view.entity),
            ViewDefinition::OnDemand(_) => None,
        }
    }

    /// The place of a feature in the declared order.
    pub fn feature(&self, name: &str) -> Option<usize> {
        match &self.definition {
            ViewDefinition::Window(view) => view.feature(name),
            ViewDefinition::Latest(view) => view.feature(name),
            ViewDefinition::OnDemand(view) => view.feature(name),
        }
    }

    /// The features' names, in declared order.
    pub fn feature_names(&self) -> Vec<&str> {
        match &self.definition {
            ViewDefinition::Window(view) => view.features.iter().map(|f| f.name.as_str()).collect(),
            ViewDefinition::Latest(view) => view.features.iter().map(|f| f.name.as_str()).collect(),
            ViewDefinition::OnDemand(view) => view.features.iter().map(|f| f.name.as_str()).collect(),
        }
    }

    /// The type of a feature, by its place.
    pub fn feature_type(&self, place: usize) -> Option<Type> {
        match &self.definition {
            ViewDefinition::Window(view) => view.features.get(place).map(|feature| feature.kind),
            ViewDefinition::Latest(view) => view.features.get(place).map(|feature| feature.kind),
            ViewDefinition::OnDemand(view) => view.features.get(place).map(|feature| feature.kind),
        }
    }

    /// How a token speaks of the view; absent for an on-demand view, which knows nothing of its own.
    pub fn token_view(&self) -> Option<TokenView> {
        let kind = match &self.definition {
            ViewDefinition::Window(_) => ViewKind::Window,
            ViewDefinition::Latest(view) if view.is_stream() => ViewKind::LatestStream,
            ViewDefinition::Latest(_) => ViewKind::LatestTable,
            ViewDefinition::OnDemand(_) => return None,
        };
        let mut meaning = [0; 16];
        meaning.copy_from_slice(&self.meaning()[..16]);
        Some(TokenView { meaning, kind })
    }
}
