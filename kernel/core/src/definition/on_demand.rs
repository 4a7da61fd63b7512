//! On-demand views: expressions and Python functions over request fields, the request time and stored features.

use serde_json::Value as Json;

use super::function::Function;
use super::limits;
use super::read::{Reader, refuse_duplicates};
use crate::expr::Expr;
use crate::fault::Fault;
use crate::schema::{Column, Schema};
use crate::value::Type;

/// A compiled on-demand view.
#[derive(Debug)]
pub struct OnDemandView {
    /// SHA-256 of the meaning document.
    pub meaning: [u8; 32],
    /// The project.
    pub project: String,
    /// The view's name.
    pub name: String,
    /// The fields that a request brings, in declared order.
    pub request: Vec<Column>,
    /// The stored features that are read, in declared order.
    pub inputs: Vec<Input>,
    /// Request fields, then inputs: the row that expressions see.
    pub row: Schema,
    /// In declared order.
    pub features: Vec<OnDemandFeature>,
}

/// A feature of another view, pinned to its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The name in expressions.
    pub name: String,
    /// Which feature.
    pub feature: FeatureRef,
    /// Its type.
    pub kind: Type,
}

/// An exact pin of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureRef {
    /// The view's name.
    pub view: String,
    /// Its full version.
    pub version: String,
    /// The hash of its meaning.
    pub meaning: [u8; 32],
    /// The feature's name in the view.
    pub feature: String,
}

/// One feature of an on-demand view.
#[derive(Debug)]
pub struct OnDemandFeature {
    /// Unique within the view.
    pub name: String,
    /// The type of the value.
    pub kind: Type,
    /// What it is.
    pub compute: Compute,
}

impl OnDemandFeature {
    /// The places, in [`OnDemandView::row`], of what it is computed from; ascending.
    pub fn columns(&self) -> &[usize] {
        match &self.compute {
            Compute::Expr(expr) => expr.columns(),
            Compute::Function(function) => &function.columns,
        }
    }

    /// The Python function that it is, if it is one.
    pub fn function(&self) -> Option<&Function> {
        match &self.compute {
            Compute::Expr(_) => None,
            Compute::Function(function) => Some(function),
        }
    }
}

/// How the value of an on-demand feature comes about.
#[derive(Debug)]
pub enum Compute {
    /// The kernel evaluates it.
    Expr(Expr),
    /// The host runs it; the kernel says with what, and what its answers mean.
    Function(Function),
}

const KEYS: [&str; 8] = [
    "format",
    "semantics",
    "kind",
    "project",
    "name",
    "request",
    "inputs",
    "features",
];

impl OnDemandView {
    pub(crate) fn read(at: &Reader<'_>, meaning: [u8; 32]) -> Option<Self> {
        at.keys(&KEYS)?;
        let project = at.key("project").name();
        let name = at.key("name").name();
        let request = read_request(&at.key("request"));
        let inputs = read_inputs(&at.key("inputs"));
        let (request, inputs) = (request?, inputs?);
        let fields = request.iter().cloned();
        let stored = inputs.iter().map(|input| Column {
            name: input.name.clone(),
            kind: input.kind,
            nullable: true,
        });
        let row = Schema::new(fields.chain(stored).collect());
        for (place, input) in inputs.iter().enumerate() {
            if request.iter().any(|field| field.name == input.name) {
                at.add(Fault::new(
                    format!("{}.inputs[{place}].name", at.path),
                    "DUPLICATE_NAME",
                    format!("{:?} is also a request field; names must differ", input.name),
                ));
            }
        }
        let features = read_features(&at.key("features"), &row)?;
        Some(Self {
            meaning,
            project: project?,
            name: name?,
            request,
            inputs,
            row,
            features,
        })
    }

    /// The place of a feature in the declared order.
    pub fn feature(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }
}

/// The type of what is computed with, or of a result.
fn computed_kind(at: &Reader<'_>) -> Option<Type> {
    match at.feature_kind()? {
        kind @ (Type::Decimal(_) | Type::List(Type::Decimal(_))) => at.fault(
            "UNSUPPORTED_TYPE",
            format!("{kind} does not stand in on-demand views yet; use float64 or string, or serve the feature as it is"),
        ),
        kind => Some(kind),
    }
}

fn read_request(at: &Reader<'_>) -> Option<Vec<Column>> {
    let list = at.list(0, limits::COLUMNS)?;
    let read: Vec<Option<Column>> = list
        .iter()
        .map(|field| {
            field.keys(&["name", "type"])?;
            let (name, kind) = (field.key("name").name(), computed_kind(&field.key("type")));
            Some(Column {
                name: name?,
                kind: kind?,
                nullable: true,
            })
        })
        .collect();
    let fields: Vec<Column> = read.into_iter().collect::<Option<_>>()?;
    refuse_duplicates(
        at,
        "name",
        fields.iter().map(|field| field.name.as_str()).enumerate(),
    );
    Some(fields)
}

fn read_inputs(at: &Reader<'_>) -> Option<Vec<Input>> {
    let list = at.list(0, limits::FEATURES_PER_SERVICE)?;
    let read: Vec<Option<Input>> = list
        .iter()
        .map(|input| {
            input.keys(&["name", "view", "version", "feature", "meaning", "type"])?;
            let name = input.key("name").name();
            let feature = FeatureRef::read_fields(input);
            let kind = computed_kind(&input.key("type"));
            Some(Input {
                name: name?,
                feature: feature?,
                kind: kind?,
            })
        })
        .collect();
    let inputs: Vec<Input> = read.into_iter().collect::<Option<_>>()?;
    refuse_duplicates(
        at,
        "name",
        inputs.iter().map(|input| input.name.as_str()).enumerate(),
    );
    Some(inputs)
}

impl FeatureRef {
    pub(crate) fn read_fields(at: &Reader<'_>) -> Option<Self> {
        let view = at.key("view").name();
        let version = at.key("version").version();
        let meaning = at.key("meaning").meaning();
        let feature = at.key("feature").name();
        Some(Self {
            view: view?,
            version: version?,
            meaning: meaning?,
            feature: feature?,
        })
    }
}

fn read_features(at: &Reader<'_>, row: &Schema) -> Option<Vec<OnDemandFeature>> {
    let list = at.list(1, limits::FEATURES_PER_VIEW)?;
    let read: Vec<Option<OnDemandFeature>> = list.iter().map(|at| read_feature(at, row)).collect();
    refuse_duplicates(
        at,
        "name",
        list.iter()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.json.get("name").and_then(Json::as_str)?))),
    );
    read.into_iter().collect()
}

fn read_feature(at: &Reader<'_>, row: &Schema) -> Option<OnDemandFeature> {
    if at.json.get("function").is_some() {
        return read_function(at, row);
    }
    at.keys(&["name", "type", "expr"])?;
    let name = at.key("name").name();
    let kind = computed_kind(&at.key("type"));
    let place = at.key("expr");
    let expr = match Expr::compile(place.json, row) {
        Ok(expr) => expr,
        Err(faults) => {
            for fault in faults {
                at.add(fault.below(&place.path));
            }
            return None;
        }
    };
    let kind = kind?;
    if expr.result_type() != kind {
        return at.key("type").fault(
            "TYPE_MISMATCH",
            format!("the expression gives {}, not {kind}", expr.result_type()),
        );
    }
    Some(OnDemandFeature {
        name: name?,
        kind,
        compute: Compute::Expr(expr),
    })
}

fn read_function(at: &Reader<'_>, row: &Schema) -> Option<OnDemandFeature> {
    at.keys(&["name", "type", "function"])?;
    let name = at.key("name").name();
    let kind = computed_kind(&at.key("type"));
    let function = Function::read(&at.key("function"), row);
    Some(OnDemandFeature {
        name: name?,
        kind: kind?,
        compute: Compute::Function(function?),
    })
}
