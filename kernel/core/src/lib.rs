//! The meaning of features.
//!
//! Pure functions over values and instants: no input or output, no clock, no Python, no async. Every host
//! (stream worker, online server, offline retrieval) asks this crate and decides nothing itself.

pub mod answer;
pub mod bytes;
pub mod decimal;
pub mod definition;
pub mod expr;
pub mod fault;
pub mod functions;
pub mod keys;
pub mod latest;
pub mod numbers;
pub mod ondemand;
pub mod partition;
pub mod payload;
pub mod schema;
pub mod slots;
pub mod state;
pub mod status;
pub mod time;
pub mod token;
pub mod value;
pub mod window;

/// The revision of the meaning that this kernel implements.
///
/// Any change of any value the kernel computes makes a new one. It is part of a definition's hash, so a
/// pinned feature keeps its values.
pub const SEMANTICS_REVISION: u32 = 1;
