//! Feature services: the exact features, in order, that a model is served.

use super::limits;
use super::on_demand::FeatureRef;
use super::read::Reader;
use crate::fault::Fault;

/// A feature service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureService {
    /// SHA-256 of the meaning document.
    pub meaning: [u8; 32],
    /// The project.
    pub project: String,
    /// The service's name.
    pub name: String,
    /// The vector, in order.
    pub features: Vec<FeatureRef>,
}

impl FeatureService {
    pub(crate) fn read(at: &Reader<'_>, meaning: [u8; 32]) -> Option<Self> {
        at.keys(&["format", "semantics", "kind", "project", "name", "features"])?;
        let project = at.key("project").name();
        let name = at.key("name").name();
        let list = at.key("features").list(1, limits::FEATURES_PER_SERVICE)?;
        let read: Vec<Option<FeatureRef>> = list
            .iter()
            .map(|feature| {
                feature.keys(&["view", "version", "meaning", "feature"])?;
                FeatureRef::read_fields(feature)
            })
            .collect();
        let features: Vec<FeatureRef> = read.into_iter().collect::<Option<_>>()?;
        let mut seen = std::collections::HashSet::new();
        for (place, feature) in features.iter().enumerate() {
            if !seen.insert(feature) {
                at.add(Fault::new(
                    format!("{}.features[{place}]", at.path),
                    "DUPLICATE_NAME",
                    format!("{}.{} stands here a second time", feature.view, feature.feature),
                ));
            }
        }
        Some(Self {
            meaning,
            project: project?,
            name: name?,
            features,
        })
    }
}
