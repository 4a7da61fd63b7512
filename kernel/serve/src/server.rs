//! The server: threads with a runtime each, one listener, and what the host asks of them.

use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::{self, Access, watch_runtime};
use crate::catalogue::Catalogue;
use crate::connection::{Load, adopt_all};
use crate::counters::{Counters, Exemplar};
use crate::door::{Door, LIVE, SERVICE};
use crate::functions::{FunctionCall, FunctionEnvironment, FunctionQueue};
use crate::read::ReadPath;
use crate::served::{Served, ServedQueue};
use crate::settings::Settings;
use crate::store::{self, Address, Store, StoreHealth};
use crate::tls::ServerTls;
use crate::traces::{Context, Span, Traces};
use crate::wire;

/// Served records may take this much memory while they wait, whatever their number.
const SERVED_BYTES: usize = 256 << 20;
/// A pause after a connection could not be accepted (mostly: no file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the server could not do what its host asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeError {
    /// A setting is wrong; the text says which, and what to write.
    Setting(String),
    /// The address cannot be listened on.
    Listen(String),
    /// The plan cannot be read; the one before stays.
    Plan(String),
    /// A server starts once.
    Started,
    /// The operating system refuses a thread or a runtime.
    System(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(text) | Self::Listen(text) | Self::Plan(text) | Self::System(text) => {
                f.write_str(text)
            }
            Self::Started => f.write_str("the server was started before; make another one"),
        }
    }
}

impl std::error::Error for ServeError {}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) catalogue: ArcSwapOption<Catalogue>,
    /// The revision of the catalogue, for those who wait for one; -1 without a catalogue.
    pub(crate) revision: watch::Sender<i64>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) access: Access,
    pub(crate) load: Arc<access::Load>,
    pub(crate) served: ServedQueue,
    pub(crate) functions: FunctionQueue,
    pub(crate) traces: Traces,
    pub(crate) store_health: Arc<StoreHealth>,
    /// What a server without a plan waits for.
    pub(crate) waiting_for: ArcSwap<String>,
}

/// An online server. All methods may be called from any thread.
pub struct Server {
    shared: Arc<Shared>,
    address: Address,
    health: HealthReporter,
    /// Health without anything else.
    health_only: Routes,
    rest: Routes,
    tls: Option<Arc<ServerTls>>,
    /// Runs what the host asks of health.
    control: Runtime,
    life: Mutex<Life>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Life {
    serving: bool,
    started: bool,
    threads: Vec<JoinHandle<()>>,
    /// Tells the threads how long their callers may take to end.
    stop: Option<watch::Sender<Option<Duration>>>,
}

impl Server {
    /// A server that does nothing yet.
    pub fn new(settings: Settings) -> Result<Self, ServeError> {
        let setting = |wrong: bool, text: &str| {
            if wrong {
                Err(ServeError::Setting(text.to_owned()))
            } else {
                Ok(())
            }
        };
        setting(
            !(1..=256).contains(&settings.threads),
            "threads must be from 1 to 256",
        )?;
        setting(settings.max_in_flight == 0, "max_in_flight must be at least 1")?;
        setting(
            settings.max_message_bytes == 0,
            "max_message_bytes must be at least 1",
        )?;
        setting(settings.served_queue == 0, "served_queue must be at least 1")?;
        setting(settings.function_queue == 0, "function_queue must be at least 1")?;
        setting(
            settings.store_timeout.is_zero(),
            "store_timeout must be more than 0",
        )?;
        let tls = match settings.tls.clone() {
            Some(files) => {
                Some(Arc::new(ServerTls::new(files).map_err(|error| {
                    ServeError::Setting(format!("TLS of this server: {error}"))
                })?))
            }
            None => None,
        };
        let address =
            Address::parse(&settings.store_url, &settings.store_tls).map_err(ServeError::Setting)?;
        let (health, health_service) = tonic_health::server::health_reporter();
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(SERVICE)
                .with_service_name("grpc.health.v1.Health")
        };
        let broken = |error| ServeError::System(format!("the contracts cannot be reflected: {error}"));
        let health_only = Routes::new(health_service.clone()).prepare();
        let rest = Routes::new(health_service)
            .add_service(builder().build_v1().map_err(broken)?)
            .add_service(builder().build_v1alpha().map_err(broken)?)
            .prepare();
        let control = Builder::new_current_thread().build().map_err(system)?;
        let served = ServedQueue::new(settings.served_queue, SERVED_BYTES);
        let functions = FunctionQueue::new(settings.function_queue);
        let made = Self {
            shared: Arc::new(Shared {
                access: Access::new(settings.access.clone()),
                load: Arc::new(access::Load::new(
                    settings.max_in_flight,
                    settings.access.queue_target,
                )),
                settings,
                catalogue: ArcSwapOption::empty(),
                revision: watch::Sender::new(-1),
                counters: Arc::default(),
                served,
                functions,
                traces: Traces::default(),
                store_health: Arc::default(),
                waiting_for: ArcSwap::from_pointee("its plan".to_owned()),
            }),
            address,
            health,
            health_only,
            rest,
            tls,
            control,
            life: Mutex::default(),
        };
        made.tell_health(false);
        let live = made.health.set_service_status(LIVE, ServingStatus::Serving);
        made.control.block_on(live);
        Ok(made)
    }

    /// Listens and serves; gives the port. Without a plan, requests are refused as not ready.
    pub fn start(&self) -> Result<u16, ServeError> {
        let mut life = self.life();
        if life.started {
            return Err(ServeError::Started);
        }
        let listener = listen(&self.shared.settings.listen)?;
        let health_listen = self.shared.settings.health_listen.as_deref();
        let mut health = health_listen.map(listen).transpose()?;
        let port = listener.local_addr().map_err(system)?.port();
        life.started = true;
        let (stop, stopped) = watch::channel(None);
        life.stop = Some(stop);
        let mut rooms = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..self.shared.settings.threads {
            let (to, from) = mpsc::unbounded_channel();
            let load = Load::default();
            rooms.push(Room {
                connections: to,
                load: Arc::clone(&load),
            });
            inboxes.push((from, load));
        }
        let mut acceptor = Some((listener, rooms));
        for (place, (connections, load)) in inboxes.into_iter().enumerate() {
            let worker = Worker {
                shared: Arc::clone(&self.shared),
                address: self.address.clone(),
                rest: self.rest.clone(),
                health: health.take().map(|listener| (listener, self.health_only.clone())),
                tls: self.tls.clone(),
                acceptor: acceptor.take(),
                connections,
                load,
                stopped: stopped.clone(),
            };
            // The runtime is made here, so that a refusal reaches the host.
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(system)?;
            let thread = std::thread::Builder::new()
                .name(format!("online-{place}"))
                .spawn(move || worker.run(&runtime))
                .map_err(system)?;
            life.threads.push(thread);
        }
        Ok(port)
    }

    /// Replaces the plan; requests that are being answered keep theirs. Gives what could not be compiled: that
    /// is refused by name when it is asked for, the rest is served.
    pub fn publish(&self, plan_json: &[u8]) -> Result<Vec<String>, ServeError> {
        let before = self.shared.catalogue.load_full();
        let (catalogue, faults) =
            Catalogue::compile(plan_json, before.as_deref()).map_err(ServeError::Plan)?;
        let revision = catalogue.revision;
        self.shared.catalogue.store(Some(Arc::new(catalogue)));
        self.shared.revision.send_replace(revision);
        let serving = self.life().serving;
        self.tell_health(serving);
        Ok(faults)
    }

    /// Replaces the lists of who may call, as JSON: `projects` and `keys`.
    pub fn publish_access(&self, json: &[u8]) -> Result<(), ServeError> {
        self.shared.access.publish(json).map_err(ServeError::Plan)
    }

    /// Takes the keys that were used since the last time, each with when, in microseconds since 1970.
    pub fn drain_key_uses(&self) -> Vec<(String, i64)> {
        self.shared.access.drain_uses()
    }

    /// Says whether callers should come; health answers `SERVING` once there is a plan as well.
    pub fn set_serving(&self, serving: bool) {
        self.life().serving = serving;
        self.tell_health(serving);
    }

    /// Says what a server without a plan waits for; refusals repeat it.
    pub fn say_waiting_for(&self, what: String) {
        self.shared.waiting_for.store(Arc::new(what));
    }

    /// Takes up to `most` served records, waiting up to `timeout` for the first.
    pub fn drain_served(&self, most: usize, timeout: Duration) -> Vec<Served> {
        self.shared.served.drain(most, timeout)
    }

    /// Takes calls of Python functions from now on, which the host makes there. Before, their values are
    /// `NOT_COMPUTED`.
    pub fn open_functions(&self, environment: FunctionEnvironment) {
        self.shared.functions.open(environment);
    }

    /// The next call to be made, waiting up to `timeout` for it. Each is finished once.
    pub fn next_call(&self, timeout: Duration) -> Option<FunctionCall> {
        self.shared.functions.next(timeout)
    }

    /// Hands over the results of a call as JSON, or why there are none.
    pub fn finish_call(&self, ticket: u64, results: Result<Vec<u8>, String>) {
        self.shared.functions.finish(ticket, results);
    }

    /// Traces requests from now on: those whose callers send a sampled `traceparent`, and a share (0 to 1) of those
    /// whose callers send none. At most `most` spans wait to be drained; what finds no room is dropped and counted.
    pub fn trace(&self, most: usize, share: f64) {
        self.shared.traces.open(most, share);
    }

    /// Takes up to `most` finished spans.
    pub fn drain_spans(&self, most: usize) -> Vec<Span> {
        self.shared.traces.drain(most)
    }

    /// Takes the trace contexts of served records; each is there before its record can be drained.
    pub fn drain_contexts(&self) -> Vec<Context> {
        self.shared.traces.drain_contexts()
    }

    /// Of each class of latency the newest traced call.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.shared.counters.exemplars()
    }

    /// What was counted, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut all = self.shared.counters.snapshot();
        all.push(("in_flight.limit".to_owned(), self.shared.load.limit()));
        all.push(("served.waiting".to_owned(), self.shared.served.len() as u64));
        all.push(("functions.waiting".to_owned(), self.shared.functions.len() as u64));
        all.push(("spans.dropped".to_owned(), self.shared.traces.dropped()));
        all
    }

    /// What is wrong with the store, naming its address; absent while it answers.
    pub fn store_error(&self) -> Option<String> {
        self.shared.store_health.error()
    }

    /// Why renewed certificates are not taken; absent if they are, or there are none.
    pub fn tls_error(&self) -> Option<String> {
        self.tls.as_ref().and_then(|tls| tls.error())
    }

    /// The revision of the plan; absent before the first.
    pub fn revision(&self) -> Option<i64> {
        self.shared
            .catalogue
            .load()
            .as_ref()
            .map(|catalogue| catalogue.revision)
    }

    /// Takes no more requests, lets those that came end within `grace`, and ends. Served records stay to be
    /// drained.
    pub fn stop(&self, grace: Duration) {
        self.set_serving(false);
        let (threads, stop) = {
            let mut life = self.life();
            (std::mem::take(&mut life.threads), life.stop.take())
        };
        if let Some(stop) = stop {
            // Threads that have ended already need not be told.
            let _ = stop.send(Some(grace));
        }
        for thread in threads {
            // A thread that panicked has told why; there is nothing left to end.
            let _ = thread.join();
        }
        self.shared.served.close();
        self.shared.functions.close();
    }

    fn tell_health(&self, serving: bool) {
        let status = if serving && self.shared.catalogue.load().is_some() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.control.block_on(async {
            self.health.set_service_status("", status).await;
            self.health.set_service_status(SERVICE, status).await;
        });
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

// By value: it is the argument of `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn system(error: std::io::Error) -> ServeError {
    ServeError::System(error.to_string())
}

fn listen(place: &str) -> Result<TcpListener, ServeError> {
    let told = |error: &dyn fmt::Display| {
        ServeError::Listen(format!(
            "cannot listen on {place}: {error}; choose another address (host:port, port 0 for a free one)"
        ))
    };
    let addresses: Vec<SocketAddr> = place.to_socket_addrs().map_err(|error| told(&error))?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(|error| told(&error))?;
    listener.set_nonblocking(true).map_err(system)?;
    Ok(listener)
}

/// Where the acceptor leaves connections for a thread.
struct Room {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    load: Load,
}

/// One thread.
struct Worker {
    shared: Arc<Shared>,
    address: Address,
    rest: Routes,
    /// The first thread also says how it is, at a port of its own.
    health: Option<(TcpListener, Routes)>,
    tls: Option<Arc<ServerTls>>,
    /// The first thread also accepts.
    acceptor: Option<(TcpListener, Vec<Room>)>,
    connections: mpsc::UnboundedReceiver<std::net::TcpStream>,
    load: Load,
    stopped: watch::Receiver<Option<Duration>>,
}

impl Worker {
    fn run(self, runtime: &Runtime) {
        runtime.block_on(self.serve());
    }

    async fn serve(self) {
        let Self {
            shared,
            address,
            rest,
            health,
            tls,
            acceptor,
            connections,
            load,
            stopped,
        } = self;
        if let Some((listener, routes)) = health {
            tokio::spawn(say_health(listener, routes, stopped.clone()));
        }
        if let Some((listener, rooms)) = acceptor {
            tokio::spawn(accept(listener, rooms, stopped.clone()));
        }
        let context = store::Shared {
            timeout: shared.settings.store_timeout,
            health: Arc::clone(&shared.store_health),
            counters: Arc::clone(&shared.counters),
        };
        let store = Store::start(address, context);
        tokio::spawn(watch_runtime(Arc::clone(&shared.load)));
        let door = Door::new(Arc::new(ReadPath::new(shared, store)), rest);
        let (adopted, incoming) = mpsc::unbounded_channel();
        tokio::spawn(adopt_all(connections, load, tls, adopted));
        let incoming = UnboundedReceiverStream::new(incoming).map(Ok::<_, std::io::Error>);
        let serving = tonic::transport::Server::builder().serve_with_incoming_shutdown(
            door,
            incoming,
            stop_time(stopped.clone(), false),
        );
        tokio::select! {
            // It ends without an error: a connection that cannot be adopted is its caller's loss.
            _ = serving => {}
            () = stop_time(stopped, true) => {}
        }
    }
}

/// Answers health alone, without TLS.
async fn say_health(listener: TcpListener, routes: Routes, stopped: watch::Receiver<Option<Duration>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let incoming = TcpListenerStream::new(listener);
    let stop = stop_time(stopped, true);
    let serving = tonic::transport::Server::builder().serve_with_incoming_shutdown(
        routes,
        incoming,
        std::future::pending(),
    );
    tokio::select! {
        // What breaks it off breaks the server off, too.
        _ = serving => {}
        () = stop => {}
    }
}

/// Waits until the server is told to stop, and then for the end of the grace if asked to.
async fn stop_time(mut stopped: watch::Receiver<Option<Duration>>, with_grace: bool) {
    let grace = match stopped.wait_for(Option::is_some).await {
        Ok(grace) => grace.unwrap_or_default(),
        Err(_) => Duration::ZERO,
    };
    if with_grace {
        tokio::time::sleep(grace).await;
    }
}

/// Hands each connection to the thread with the fewest.
async fn accept(listener: TcpListener, rooms: Vec<Room>, stopped: watch::Receiver<Option<Duration>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let stop = stop_time(stopped, false);
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(room) = rooms.iter().min_by_key(|room| room.load.load(Ordering::Relaxed)) else {
            return;
        };
        let ready = stream.set_nodelay(true).and_then(|()| stream.into_std());
        if let Ok(stream) = ready {
            room.load.fetch_add(1, Ordering::Relaxed);
            if room.connections.send(stream).is_err() {
                return;
            }
        }
    }
}
