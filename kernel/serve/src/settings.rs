//! What the host decides at the start.

use std::time::Duration;

use crate::access::AccessSettings;
use crate::tls::{ClientFiles, ServerFiles};

/// Settings of a server; fixed once it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen: `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Files for TLS towards callers, read again when they change; absent: without TLS.
    pub tls: Option<ServerFiles>,
    /// Who may call, and how often.
    pub access: AccessSettings,
    /// Where health alone listens, without TLS: `host:port`; absent: nowhere. Kubelets speak no TLS.
    pub health_listen: Option<String>,
    /// The store: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` with TLS.
    pub store_url: String,
    /// Files for TLS towards the store; read anew for each connection.
    pub store_tls: ClientFiles,
    /// How long the store may take to answer a request; its values are then `UNAVAILABLE`.
    pub store_timeout: Duration,
    /// Requests worked on at once; further ones are refused as overload.
    pub max_in_flight: usize,
    /// The largest request message, in bytes.
    pub max_message_bytes: usize,
    /// Whether answers are put on the served queue.
    pub served_log: bool,
    /// Served records that may wait to be drained; when so many wait, requests are refused as overload.
    pub served_queue: usize,
    /// The largest served record, in bytes; a request whose record would be larger is refused as too large.
    pub served_record_bytes: usize,
    /// How long a request waits for its Python functions; values that have not come are then `NOT_COMPUTED`.
    pub function_timeout: Duration,
    /// Calls of Python functions that may wait for the host; values of further ones are `NOT_COMPUTED`.
    pub function_queue: usize,
    /// Runtimes, each with a thread and a connection to the store of its own.
    pub threads: usize,
}
