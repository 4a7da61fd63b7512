//! One connection to the store: kept, watched, made again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::resp::{self, Reply};
use super::stream::{self, Outgoing, Stream};
use super::{Address, Answer, Cells, Shared, Unanswered};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection is given up when an answer is late by so many timeouts.
const PATIENCE: u32 = 4;
/// New fetches wait in their channel while so much is unsent.
const MOST_UNSENT: usize = 1 << 20;
const READ_SIZE: usize = 64 << 10;

/// A fetch on its way to the connection.
#[derive(Debug)]
struct Fetch {
    wire: Vec<u8>,
    /// Answers to skip before its own: those to commands that only prepare it.
    skip: usize,
    answer: oneshot::Sender<Answer>,
}

/// A handle of one connection; cheap to share within its runtime.
#[derive(Debug)]
pub(crate) struct Connection {
    fetches: mpsc::UnboundedSender<Fetch>,
    open: Arc<AtomicBool>,
}

impl Connection {
    /// Starts a connection on the current runtime. It lives as long as the handle.
    pub(super) fn start(address: Address, shared: Shared) -> Self {
        let (fetches, incoming) = mpsc::unbounded_channel();
        // Fetches wait for the first attempt to connect, and for no other.
        let open = Arc::new(AtomicBool::new(true));
        let link = Link {
            address,
            shared,
            open: Arc::clone(&open),
            incoming,
            random: rand::make_rng(),
        };
        tokio::spawn(link.run());
        Self { fetches, open }
    }

    /// Sends a read; its answer comes within the store's timeout. Absent while there is no connection.
    pub(super) fn send(&self, wire: Vec<u8>, skip: usize) -> Option<oneshot::Receiver<Answer>> {
        if !self.open.load(Ordering::Acquire) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.fetches.send(Fetch { wire, skip, answer }).ok()?;
        Some(answered)
    }
}

/// A fetch that was sent, or is about to be, and whose answer is due.
struct Due {
    deadline: Instant,
    /// Absent once the caller was told that it is late; the answer is then skipped.
    answer: Option<oneshot::Sender<Answer>>,
}

impl Fetch {
    fn send(self, unsent: &mut BytesMut, due: &mut VecDeque<Due>, deadline: Instant) {
        unsent.extend_from_slice(&self.wire);
        let skipped = std::iter::repeat_with(|| None).take(self.skip);
        due.extend(
            skipped
                .chain([Some(self.answer)])
                .map(|answer| Due { deadline, answer }),
        );
    }
}

/// Keeps one connection.
struct Link {
    address: Address,
    shared: Shared,
    open: Arc<AtomicBool>,
    incoming: mpsc::UnboundedReceiver<Fetch>,
    random: SmallRng,
}

impl Link {
    /// Connects and serves until the last handle is gone.
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.incoming.is_closed() {
            let error = match self.connect().await {
                Ok(stream) => {
                    pause = FIRST_PAUSE;
                    self.shared
                        .counters
                        .store_connections
                        .fetch_add(1, Ordering::Relaxed);
                    self.well();
                    self.open.store(true, Ordering::Release);
                    match self.serve(stream).await {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.open.store(false, Ordering::Release);
            let what = match error.kind() {
                io::ErrorKind::PermissionDenied => "refuses this client",
                _ => "does not answer",
            };
            self.failed(format!("the store at {} {what}: {error}", self.address));
            while let Ok(fetch) = self.incoming.try_recv() {
                self.fail(Some(fetch.answer));
            }
            // Half of the pause is left to chance, so that servers do not come back in step.
            sleep(pause.mul_f64(self.random.random_range(0.5..1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn fail(&self, answer: Option<oneshot::Sender<Answer>>) {
        if let Some(answer) = answer {
            self.shared
                .counters
                .store_failures
                .fetch_add(1, Ordering::Relaxed);
            // A caller that has gone away needs no answer.
            let _ = answer.send(Err(Unanswered::Silent));
        }
    }

    fn well(&self) {
        self.shared.health.well(&self.address);
    }

    fn failed(&self, error: String) {
        self.shared.health.failed(&self.address, error);
    }

    /// Opens a connection and greets; the store has answered once when this returns, and lets this client read.
    async fn connect(&self) -> io::Result<Stream> {
        // Ciphers are agreed on in more round trips, and with some computing.
        let (timeouts, hint) = match self.address.tls() {
            Some(_) => (PATIENCE, "; does it take TLS at this port?"),
            None => (1, ""),
        };
        let limit = self.shared.timeout * timeouts;
        let opened = async {
            let mut stream = Stream::open(&self.server().await?).await?;
            match &mut stream {
                Stream::Plain(stream) => self.greet(stream).await?,
                Stream::Tls(stream) => self.greet(stream).await?,
            }
            Ok(stream)
        };
        timeout(limit, opened).await.unwrap_or_else(|_| {
            let text = format!("timed out after {} ms{hint}", limit.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }

    /// The server to connect to: the one of the address, or the one that the first Sentinel names that answers.
    async fn server(&self) -> io::Result<Address> {
        let Some((watchers, service)) = self.address.watchers() else {
            return Ok(self.address.clone());
        };
        let question = [&b"SENTINEL"[..], b"get-master-addr-by-name", service.as_bytes()];
        let mut error = io::Error::other("no Sentinel is named");
        for watcher in watchers {
            let limit = self.shared.timeout;
            match timeout(limit, ask(&watcher, &question))
                .await
                .unwrap_or_else(|late| Err(late.into()))
            {
                Ok(cells) => match named(&cells) {
                    Some(place) => return Ok(self.address.member(&place)),
                    None => error = io::Error::other(format!("the Sentinel at {watcher} knows no {service}")),
                },
                Err(fault) => {
                    error = io::Error::new(fault.kind(), format!("the Sentinel at {watcher}: {fault}"));
                }
            }
        }
        Err(error)
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<()> {
        let database = self.address.database().to_string();
        let mut greeting = self.address.greeting();
        if self.address.database() != 0 {
            greeting.push(vec![b"SELECT", database.as_bytes()]);
        }
        if self.address.is_watched() {
            greeting.push(vec![b"INFO", b"replication"]);
        }
        for (command, reply) in greeting.iter().zip(converse(stream, &greeting).await?) {
            match reply {
                Reply::Error(text) => refused(command[0], text)?,
                Reply::Cells(cells) if command[0] == b"INFO" && !tells_primary(&cells) => {
                    return Err(io::Error::other("it is a replica, not a primary"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends fetches and hands out answers until the connection breaks (an error) or the last handle is gone.
    async fn serve(&mut self, stream: Stream) -> io::Result<()> {
        let mut due: VecDeque<Due> = VecDeque::new();
        let result = match stream {
            Stream::Plain(mut stream) => {
                let (reader, writer) = stream.split();
                self.exchange(reader, writer, &mut due).await
            }
            Stream::Tls(stream) => {
                let (reader, writer) = stream::halves(*stream);
                self.exchange(reader, writer, &mut due).await
            }
        };
        for waiting in due {
            self.fail(waiting.answer);
        }
        result
    }

    async fn exchange<R: AsyncRead + Unpin, W: Outgoing>(
        &mut self,
        mut reader: R,
        mut writer: W,
        due: &mut VecDeque<Due>,
    ) -> io::Result<()> {
        let mut unsent = BytesMut::with_capacity(READ_SIZE);
        let mut received = BytesMut::with_capacity(READ_SIZE);
        // Whether the writer may hold bytes back.
        let mut held = false;
        // The answers before this place in `due` are late and their callers know.
        let mut told = 0_usize;
        loop {
            let alarm = match (due.get(told), due.front()) {
                (Some(next), _) => Some(next.deadline),
                (None, Some(oldest)) => Some(oldest.deadline + self.shared.timeout * (PATIENCE - 1)),
                (None, None) => None,
            };
            tokio::select! {
                biased;
                size = reader.read_buf(&mut received) => {
                    if size? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    while let Some(reply) = resp::take(&mut received).map_err(not_resp)? {
                        let Some(first) = due.pop_front() else {
                            return Err(io::Error::other("it answered what was not asked"));
                        };
                        told = told.saturating_sub(1);
                        self.hand_out(first.answer, reply);
                    }
                    received.reserve(READ_SIZE);
                }
                fetch = self.incoming.recv(), if unsent.len() < MOST_UNSENT => {
                    let Some(mut fetch) = fetch else { return Ok(()) };
                    let deadline = Instant::now() + self.shared.timeout;
                    loop {
                        fetch.send(&mut unsent, due, deadline);
                        match self.incoming.try_recv() {
                            Ok(next) if unsent.len() < MOST_UNSENT => fetch = next,
                            Ok(next) => {
                                next.send(&mut unsent, due, deadline);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    // Mostly the socket takes all of it at once.
                    unsent.advance(writer.write_now(&unsent));
                }
                sent = send(&mut writer, &mut unsent, &mut held), if held || !unsent.is_empty() => sent?,
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    let now = Instant::now();
                    if due.front().is_some_and(|oldest| oldest.deadline + self.shared.timeout * (PATIENCE - 1) <= now) {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            format!("no answer within {} ms", (self.shared.timeout * PATIENCE).as_millis()),
                        ));
                    }
                    while let Some(late) = due.get_mut(told).filter(|late| late.deadline <= now) {
                        let answer = late.answer.take();
                        told += 1;
                        self.fail(answer);
                    }
                    self.failed(format!(
                        "the store at {} does not answer within {} ms",
                        self.address,
                        self.shared.timeout.as_millis()
                    ));
                }
            }
        }
    }

    fn hand_out(&self, answer: Option<oneshot::Sender<Answer>>, reply: Reply) {
        match reply {
            Reply::Cells(cells) => {
                self.well();
                if let Some(answer) = answer {
                    // A caller that has gone away needs no answer.
                    let _ = answer.send(Ok(cells));
                }
            }
            Reply::Simple(_) => self.fail(answer),
            Reply::Error(text) if self.address.is_member() && goes_elsewhere(&text) => {
                if let Some(answer) = answer {
                    let _ = answer.send(Err(Unanswered::Refused(text)));
                }
            }
            Reply::Error(text) => {
                self.failed(format!("the store at {} refuses to read: {text}", self.address));
                self.fail(answer);
            }
        }
    }
}

/// Whether an error of a member of a cluster says where, or when, the keys are to be had.
fn goes_elsewhere(error: &str) -> bool {
    ["MOVED ", "ASK ", "TRYAGAIN"]
        .iter()
        .any(|start| error.starts_with(start))
}

/// Host and port, as two texts.
fn named(cells: &[Option<Bytes>]) -> Option<(String, u16)> {
    let [Some(host), Some(port)] = cells else {
        return None;
    };
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    Some((String::from_utf8_lossy(host).into_owned(), port))
}

fn tells_primary(info: &[Option<Bytes>]) -> bool {
    let text = info.first().and_then(Option::as_deref).unwrap_or_default();
    text.split(|&byte| byte == b'\n')
        .any(|line| line.starts_with(b"role:master"))
}

/// Asks one server one thing, over a connection of its own.
pub(super) async fn ask(server: &Address, command: &[&[u8]]) -> io::Result<Cells> {
    match Stream::open(server).await? {
        Stream::Plain(mut stream) => ask_over(&mut stream, server, command).await,
        Stream::Tls(mut stream) => ask_over(&mut stream, server, command).await,
    }
}

async fn ask_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    server: &Address,
    command: &[&[u8]],
) -> io::Result<Cells> {
    let mut commands: Vec<Vec<&[u8]>> = server.login().into_iter().collect();
    commands.push(command.to_vec());
    let mut replies = converse(stream, &commands).await?;
    for reply in &replies {
        if let Reply::Error(text) = reply {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text.clone()));
        }
    }
    match replies.pop() {
        Some(Reply::Cells(cells)) => Ok(cells),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it answers otherwise than a store",
        )),
    }
}

/// Sends commands and takes an answer to each.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    commands: &[Vec<&[u8]>],
) -> io::Result<Vec<Reply>> {
    let mut wire = Vec::new();
    for command in commands {
        resp::command(&mut wire, command.iter().copied());
    }
    stream.write_all(&wire).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::with_capacity(1 << 10);
    let mut replies = Vec::with_capacity(commands.len());
    while replies.len() < commands.len() {
        match resp::take(&mut buffer).map_err(not_resp)? {
            Some(reply) => replies.push(reply),
            None if stream.read_buf(&mut buffer).await? == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            None => {}
        }
    }
    Ok(replies)
}

/// Writes some of what is unsent, and what the writer holds back. May be dropped at any await.
async fn send<W: Outgoing>(writer: &mut W, unsent: &mut BytesMut, held: &mut bool) -> io::Result<()> {
    if !unsent.is_empty() {
        if writer.write_buf(unsent).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        *held = true;
    }
    writer.flush().await?;
    *held = false;
    Ok(())
}

/// What an error in answer to a command of the greeting means.
fn refused(command: &[u8], text: String) -> io::Result<()> {
    let denied = |text| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    match command {
        b"AUTH" => denied(text),
        b"MGET" if text.starts_with("NOPERM") => denied(format!(
            "{text} It needs +mget, and to read all keys of the store (%R~*)"
        )),
        b"MGET" if text.starts_with("NOAUTH") => denied(text),
        // A user may be forbidden to name a connection; that costs only the name. And a store may be loading its data.
        b"CLIENT" | b"MGET" => Ok(()),
        _ => Err(io::Error::other(text)),
    }
}

fn not_resp(error: resp::NotResp) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
