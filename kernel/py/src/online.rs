//! The online server as Python hosts it. It runs on its own threads; no request waits for Python.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skewless_serve::{
    AccessSettings, ClientFiles, FunctionEnvironment, IdentityFiles, ServeError, Server, ServerFiles,
    Settings,
};

/// Name, trace, span, parent, start and end in nanoseconds, gRPC code, request id, stages with their ends.
type SpanTuple<'py> = (
    &'static str,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    u64,
    u64,
    i32,
    Option<Bound<'py, PyBytes>>,
    Vec<(&'static str, u64)>,
);

/// Ticket, module, name, source hash, arguments, type, budget in microseconds, seconds left, rows as JSON.
type CallTuple<'py> = (
    u64,
    String,
    String,
    Bound<'py, PyBytes>,
    Vec<String>,
    &'static str,
    i64,
    f64,
    Bound<'py, PyBytes>,
);

/// Adds the class to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<OnlineServer>()
}

/// Serves feature vectors. See `_native.pyi` for what each method promises.
#[pyclass(frozen, module = "skewless_kernel")]
struct OnlineServer {
    server: Server,
}

#[pymethods]
impl OnlineServer {
    #[new]
    #[pyo3(signature = (
        *,
        listen,
        store_url,
        max_in_flight,
        max_message_bytes,
        served_queue,
        threads,
        served_log = true,
        served_record_bytes = 900_000,
        store_timeout_ms = 250,
        function_timeout_ms = 250,
        function_queue = 256,
        store_ca_file = None,
        store_identity = None,
        tls_identity = None,
        tls_client_ca_file = None,
        health_listen = None,
        api_keys_required = false,
        key_rate = 0,
        project_rate = 0,
        queue_target_ms = 0,
    ))]
    #[allow(clippy::too_many_arguments)] // one per setting, by keyword
    fn new(
        listen: String,
        store_url: String,
        max_in_flight: usize,
        max_message_bytes: usize,
        served_queue: usize,
        threads: usize,
        served_log: bool,
        served_record_bytes: usize,
        store_timeout_ms: u64,
        function_timeout_ms: u64,
        function_queue: usize,
        store_ca_file: Option<PathBuf>,
        store_identity: Option<(PathBuf, PathBuf)>,
        tls_identity: Option<(PathBuf, PathBuf)>,
        tls_client_ca_file: Option<PathBuf>,
        health_listen: Option<String>,
        api_keys_required: bool,
        key_rate: u32,
        project_rate: u32,
        queue_target_ms: u64,
    ) -> PyResult<Self> {
        let pair = |(certificate, key)| IdentityFiles { certificate, key };
        let settings = Settings {
            listen,
            tls: tls_identity.map(|files| ServerFiles {
                identity: pair(files),
                client_ca: tls_client_ca_file,
            }),
            health_listen,
            access: AccessSettings {
                keys_required: api_keys_required,
                key_rate,
                project_rate,
                queue_target: Duration::from_millis(queue_target_ms),
            },
            store_url,
            store_tls: ClientFiles {
                ca: store_ca_file,
                identity: store_identity.map(pair),
            },
            store_timeout: Duration::from_millis(store_timeout_ms),
            max_in_flight,
            max_message_bytes,
            served_log,
            served_queue,
            served_record_bytes,
            function_timeout: Duration::from_millis(function_timeout_ms),
            function_queue,
            threads,
        };
        let server = Server::new(settings).map_err(to_python)?;
        Ok(Self { server })
    }

    fn start(&self, py: Python<'_>) -> PyResult<u16> {
        py.detach(|| self.server.start()).map_err(to_python)
    }

    fn publish(&self, py: Python<'_>, plan_json: &[u8]) -> PyResult<Vec<String>> {
        py.detach(|| self.server.publish(plan_json)).map_err(to_python)
    }

    fn publish_access(&self, py: Python<'_>, lists_json: &[u8]) -> PyResult<()> {
        py.detach(|| self.server.publish_access(lists_json))
            .map_err(to_python)
    }

    fn drain_key_uses(&self) -> Vec<(String, i64)> {
        self.server.drain_key_uses()
    }

    fn say_waiting_for(&self, what: String) {
        self.server.say_waiting_for(what);
    }

    fn drain_served<'py>(
        &self,
        py: Python<'py>,
        max_records: usize,
        timeout_ms: u64,
    ) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let timeout = Duration::from_millis(timeout_ms);
        let drained = py.detach(|| self.server.drain_served(max_records, timeout));
        drained
            .iter()
            .map(|served| {
                (
                    PyBytes::new(py, &served.request_id),
                    PyBytes::new(py, &served.record),
                )
            })
            .collect()
    }

    fn open_functions(&self, interpreter: String, machine: String, lock: Vec<u8>) {
        self.server.open_functions(FunctionEnvironment {
            interpreter,
            machine,
            lock,
        });
    }

    fn next_call<'py>(&self, py: Python<'py>, timeout_ms: u64) -> Option<CallTuple<'py>> {
        let call = py.detach(|| self.server.next_call(Duration::from_millis(timeout_ms)))?;
        let left = call.until.saturating_duration_since(Instant::now());
        Some((
            call.ticket,
            call.module,
            call.name,
            PyBytes::new(py, &call.source),
            call.arguments,
            call.kind,
            call.budget_us,
            left.as_secs_f64(),
            PyBytes::new(py, call.rows.as_bytes()),
        ))
    }

    #[pyo3(signature = (ticket, results, failure = None))]
    fn finish_call(&self, ticket: u64, results: Option<Vec<u8>>, failure: Option<String>) {
        let outcome =
            results.ok_or_else(|| failure.unwrap_or_else(|| "the function gave no results".to_owned()));
        self.server.finish_call(ticket, outcome);
    }

    fn trace(&self, most: usize, share: f64) {
        self.server.trace(most, share);
    }

    fn drain_spans<'py>(&self, py: Python<'py>, max_spans: usize) -> Vec<SpanTuple<'py>> {
        let drained = self.server.drain_spans(max_spans);
        drained
            .into_iter()
            .map(|span| {
                (
                    span.name,
                    PyBytes::new(py, &span.trace_id),
                    PyBytes::new(py, &span.span_id),
                    span.parent_id.map(|id| PyBytes::new(py, &id)),
                    span.start_ns,
                    span.end_ns,
                    span.code,
                    span.request_id.map(|id| PyBytes::new(py, &id)),
                    span.events,
                )
            })
            .collect()
    }

    fn drain_contexts<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, String)> {
        let drained = self.server.drain_contexts();
        drained
            .into_iter()
            .map(|(request_id, context)| (PyBytes::new(py, &request_id), context))
            .collect()
    }

    fn set_serving(&self, py: Python<'_>, serving: bool) {
        py.detach(|| self.server.set_serving(serving));
    }

    fn exemplars<'py>(&self, py: Python<'py>) -> Vec<(&'static str, usize, Bound<'py, PyBytes>, u64, u64)> {
        let all = self.server.exemplars();
        all.into_iter()
            .map(|one| {
                let trace_id = PyBytes::new(py, &one.trace_id);
                (one.call, one.class, trace_id, one.took_us, one.ended_ns)
            })
            .collect()
    }

    fn counters(&self) -> std::collections::BTreeMap<String, u64> {
        self.server.counters().into_iter().collect()
    }

    #[getter]
    fn store_error(&self) -> Option<String> {
        self.server.store_error()
    }

    #[getter]
    fn tls_error(&self) -> Option<String> {
        self.server.tls_error()
    }

    #[getter]
    fn revision(&self) -> Option<i64> {
        self.server.revision()
    }

    fn stop(&self, py: Python<'_>, grace_ms: u64) {
        py.detach(|| self.server.stop(Duration::from_millis(grace_ms)));
    }
}

/// One arm per error, so that a new one does not compile until it has a class here.
// By value: it is the argument of `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn to_python(error: ServeError) -> PyErr {
    let text = error.to_string();
    match error {
        ServeError::Setting(_) | ServeError::Plan(_) => PyValueError::new_err(text),
        ServeError::Listen(_) | ServeError::System(_) => PyOSError::new_err(text),
        ServeError::Started => PyRuntimeError::new_err(text),
    }
}
