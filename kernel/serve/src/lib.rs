//! The online read path.
//!
//! A gRPC server that turns a request into a vector: `check` the request by hand, resolve it to a compiled
//! `vector` of the current `catalogue`, fetch all states of all rows in one round trip (`store`), let the
//! core crate say what they mean (`read`), write the answer column by column (`answer`), and queue what was
//! answered for the served log (`served`). Python hosts it and is never on the way of a request; functions that are
//! written in it run in processes of their own, whose host takes their calls from a queue (`functions`).

mod access;
mod answer;
mod catalogue;
mod check;
mod codec;
mod compute;
mod connection;
mod counters;
mod door;
mod functions;
mod partial;
mod read;
mod refusal;
mod rows;
mod served;
mod server;
mod settings;
mod stages;
mod states;
mod store;
mod tls;
mod traces;
mod ulid;
mod vector;
mod wire;

pub use access::AccessSettings;
pub use counters::Exemplar;
pub use functions::{FunctionCall, FunctionEnvironment};
pub use served::Served;
pub use server::{ServeError, Server};
pub use settings::Settings;
pub use tls::{ClientFiles, IdentityFiles, ServerFiles};
pub use traces::{Context, Span};
