//! One connection to the store: kept, watched, made again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::resp::{self, Reply};
use super::stream::{self, Outgoing, Stream};
use super::{Address, Cells, Fetch, StoreHealth, Unanswered};
use crate::counters::Counters;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection is given up when an answer is late by so many timeouts.
const PATIENCE: u32 = 4;
/// New fetches wait in their channel while so much is unsent.
const MOST_UNSENT: usize = 1 << 20;
const READ_SIZE: usize = 64 << 10;

/// A fetch that was sent, or is about to be, and whose answer is due.
struct Due {
    deadline: Instant,
    /// Absent once the caller was told that it is late; the answer is then skipped.
    answer: Option<oneshot::Sender<Result<Cells, Unanswered>>>,
}

/// Keeps one connection.
pub(super) struct Link {
    address: Address,
    timeout: Duration,
    health: Arc<StoreHealth>,
    counters: Arc<Counters>,
    open: Arc<AtomicBool>,
    incoming: mpsc::UnboundedReceiver<Fetch>,
    random: SmallRng,
}

impl Link {
    pub(super) fn new(
        address: Address,
        timeout: Duration,
        health: Arc<StoreHealth>,
        counters: Arc<Counters>,
        open: Arc<AtomicBool>,
        incoming: mpsc::UnboundedReceiver<Fetch>,
    ) -> Self {
        Self {
            address,
            timeout,
            health,
            counters,
            open,
            incoming,
            random: rand::make_rng(),
        }
    }

    /// Connects and serves until the last handle is gone.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.incoming.is_closed() {
            let error = match self.connect().await {
                Ok(stream) => {
                    pause = FIRST_PAUSE;
                    self.counters.store_connections.fetch_add(1, Ordering::Relaxed);
                    self.health.well();
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
            self.health
                .failed(format!("the store at {} {what}: {error}", self.address));
            while let Ok(fetch) = self.incoming.try_recv() {
                self.fail(Some(fetch.answer));
            }
            // Half of the pause is left to chance, so that servers do not come back in step.
            sleep(pause.mul_f64(self.random.random_range(0.5..1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn fail(&self, answer: Option<oneshot::Sender<Result<Cells, Unanswered>>>) {
        if let Some(answer) = answer {
            self.counters.store_failures.fetch_add(1, Ordering::Relaxed);
            // A caller that has gone away needs no answer.
            let _ = answer.send(Err(Unanswered));
        }
    }

    /// Opens a connection and greets; the store has answered once when this returns, and lets this client read.
    async fn connect(&self) -> io::Result<Stream> {
        // Ciphers are agreed on in more round trips, and with some computing.
        let (timeouts, hint) = match self.address.tls() {
            Some(_) => (PATIENCE, "; does it take TLS at this port?"),
            None => (1, ""),
        };
        let limit = self.timeout * timeouts;
        let opened = async {
            let mut stream = Stream::open(&self.address).await?;
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

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<()> {
        let mut wire = Vec::new();
        let greeting = self.address.greeting();
        for command in &greeting {
            resp::command(&mut wire, command.iter().copied());
        }
        let mut names: Vec<&[u8]> = greeting.iter().map(|command| command[0]).collect();
        let database = self.address.database().to_string();
        if self.address.database() != 0 {
            resp::command(&mut wire, [&b"SELECT"[..], database.as_bytes()].into_iter());
            names.push(b"SELECT");
        }
        stream.write_all(&wire).await?;
        stream.flush().await?;
        let mut buffer = BytesMut::with_capacity(1 << 10);
        for name in names {
            let reply = loop {
                if let Some(reply) = resp::take(&mut buffer).map_err(not_resp)? {
                    break reply;
                }
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            if let Reply::Error(text) = reply {
                refused(name, text)?;
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
                (None, Some(oldest)) => Some(oldest.deadline + self.timeout * (PATIENCE - 1)),
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
                    let deadline = Instant::now() + self.timeout;
                    loop {
                        unsent.extend_from_slice(&fetch.wire);
                        due.push_back(Due { deadline, answer: Some(fetch.answer) });
                        match self.incoming.try_recv() {
                            Ok(next) if unsent.len() < MOST_UNSENT => fetch = next,
                            Ok(next) => {
                                unsent.extend_from_slice(&next.wire);
                                due.push_back(Due { deadline, answer: Some(next.answer) });
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
                    if due.front().is_some_and(|oldest| oldest.deadline + self.timeout * (PATIENCE - 1) <= now) {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            format!("no answer within {} ms", (self.timeout * PATIENCE).as_millis()),
                        ));
                    }
                    while let Some(late) = due.get_mut(told).filter(|late| late.deadline <= now) {
                        let answer = late.answer.take();
                        told += 1;
                        self.fail(answer);
                    }
                    self.health.failed(format!(
                        "the store at {} does not answer within {} ms",
                        self.address,
                        self.timeout.as_millis()
                    ));
                }
            }
        }
    }

    fn hand_out(&self, answer: Option<oneshot::Sender<Result<Cells, Unanswered>>>, reply: Reply) {
        match reply {
            Reply::Cells(cells) => {
                self.health.well();
                if let Some(answer) = answer {
                    // A caller that has gone away needs no answer.
                    let _ = answer.send(Ok(cells));
                }
            }
            Reply::Simple(_) => self.fail(answer),
            Reply::Error(text) => {
                self.health
                    .failed(format!("the store at {} refuses to read: {text}", self.address));
                self.fail(answer);
            }
        }
    }
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
