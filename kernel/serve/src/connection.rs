//! Connections of callers, with TLS or without, counted so that each new one goes to the runtime with the fewest.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::tls::ServerTls;

/// A caller that takes longer to agree on TLS is given up.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

/// How many connections a runtime has.
pub(crate) type Load = Arc<AtomicUsize>;

/// A caller's connection; counted while it lives.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    load: Load,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Takes a place off the load again, unless a connection has taken it over.
struct Counted(Option<Load>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(load) = &self.0 {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Connection {
    /// Takes over an accepted connection on the current runtime. It was counted when it was accepted.
    ///
    /// None: it broke, or its caller and this server did not agree on TLS; that is its caller's loss.
    pub(crate) async fn adopt(
        stream: std::net::TcpStream,
        load: Load,
        tls: Option<Arc<ServerTls>>,
    ) -> Option<Self> {
        let mut counted = Counted(Some(load));
        stream.set_nonblocking(true).ok()?;
        let plain = TcpStream::from_std(stream).ok()?;
        let stream = match tls {
            None => Stream::Plain(plain),
            Some(tls) => {
                let config = tokio::task::spawn_blocking(move || tls.config()).await.ok()?;
                let agreed = TlsAcceptor::from(config).accept(plain);
                Stream::Tls(Box::new(timeout(LONGEST_HANDSHAKE, agreed).await.ok()?.ok()?))
            }
        };
        counted.0.take().map(|load| Self { stream, load })
    }
}

/// Adopts connections as they come and hands them on; with TLS, those that have agreed on it.
pub(crate) async fn adopt_all(
    mut accepted: mpsc::UnboundedReceiver<std::net::TcpStream>,
    load: Load,
    tls: Option<Arc<ServerTls>>,
    adopted: mpsc::UnboundedSender<Connection>,
) {
    while let Some(stream) = accepted.recv().await {
        let adopting = Connection::adopt(stream, Arc::clone(&load), tls.clone());
        let adopted = adopted.clone();
        let hand_on = async move {
            if let Some(connection) = adopting.await {
                // Nobody takes it when the server stops; dropping it hangs up.
                let _ = adopted.send(connection);
            }
        };
        if tls.is_some() {
            tokio::spawn(hand_on);
        } else {
            hand_on.await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
