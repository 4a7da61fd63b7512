//! The door: the single place where Python and the kernel meet.
//!
//! It converts arguments, calls the core crate, and turns its errors into Python exceptions.

mod aggregations;
mod arrow;
mod columns;
mod errors;
mod expression;
mod keys;
mod latest;
mod locks;
mod meaning;
mod ondemand;
mod online;
mod stream;
mod token;

use pyo3::prelude::*;

/// Asks for large pages and keeps what it had: frames are hundreds of megabytes, of which each page costs a fault.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled half of `skewless_kernel`.
#[pymodule]
mod _native {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use skewless_core::time::{self, TimeError};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::register(module)?;
        crate::aggregations::register(module)?;
        crate::expression::register(module)?;
        crate::online::register(module)?;
        crate::keys::register(module)?;
        crate::meaning::register(module)?;
        crate::token::register(module)?;
        module.add_class::<crate::latest::LatestView>()?;
        module.add_class::<crate::ondemand::OnDemandView>()?;
        crate::stream::register(module)?;
        module.add_class::<crate::arrow::ArrowBatch>()?;
        module.add("SEMANTICS_REVISION", skewless_core::SEMANTICS_REVISION)?;
        module.add("__build__", env!("SKEWLESS_KERNEL_BUILD"))
    }

    /// The latest instant `origin + n * hop` that is not after `t`, all in microseconds.
    ///
    /// The default origin is Monday, 1970-01-05T00:00Z.
    #[pyfunction]
    #[pyo3(signature = (t, hop, origin=345_600_000_000))]
    fn floor_to_hop(t: i64, hop: i64, origin: i64) -> PyResult<i64> {
        time::floor_to_hop(t, hop, origin).map_err(to_python)
    }

    // The default is written out so that Python's `help` and the type stub can show it.
    const _: () = assert!(time::DEFAULT_ORIGIN == 345_600_000_000);

    /// The hop of a window of this width (microseconds) when its definition names none, or None: the largest that
    /// divides the width and the lag, and goes at least so many times into the width.
    #[pyfunction]
    #[pyo3(signature = (width, lag=0, least_hops=48))]
    fn default_hop(width: i64, lag: i64, least_hops: i64) -> Option<i64> {
        time::hop_dividing(width, lag, least_hops)
    }

    const _: () = assert!(time::LEAST_HOPS == 48);

    /// The hop of a calendar window when its definition names none, or None if there is no such unit or zone: the
    /// greatest on which all of them begin since 1980.
    #[pyfunction]
    fn calendar_hop(unit: &str, zone: &str) -> Option<i64> {
        let zone = skewless_core::window::NamedZone::named(zone)?;
        Some(skewless_core::window::Unit::named(unit)?.grid(zone))
    }

    /// One arm per error of the core crate, so that a new one does not compile until it has a class here.
    // By value: it is the argument of `map_err`.
    #[allow(clippy::needless_pass_by_value)]
    fn to_python(error: TimeError) -> PyErr {
        match error {
            TimeError::HopNotPositive { .. } | TimeError::OutOfRange { .. } => {
                PyValueError::new_err(error.to_string())
            }
        }
    }
}
