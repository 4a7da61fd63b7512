//! The bytes of a connection, with TLS or without.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Address;
use crate::tls;

/// A connection.
pub(super) enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Opens one. The error tells what does not work, and never what was sent.
    pub(super) async fn open(address: &Address) -> io::Result<Self> {
        let tcp = TcpStream::connect(address.place()).await?;
        tcp.set_nodelay(true)?;
        let Some(files) = address.tls() else {
            return Ok(Self::Plain(tcp));
        };
        // Files are read anew for each connection, so that renewed ones need no restart; a thread of its own does it,
        // since this one has requests to answer.
        let files = files.clone();
        let config = tokio::task::spawn_blocking(move || tls::client(&files))
            .await
            .map_err(io::Error::other)?
            .map_err(|error| io::Error::other(format!("TLS: {error}")))?;
        let name = ServerName::try_from(address.place().0.to_owned())
            .map_err(|_| io::Error::other("TLS: the host of the store URL cannot stand in a certificate"))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("TLS: {error}")))?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

/// The half that is written to.
pub(super) trait Outgoing: AsyncWrite + Unpin {
    /// Takes what fits at once, without waiting; how much that was.
    fn write_now(&mut self, bytes: &[u8]) -> usize;
}

impl Outgoing for tcp::WriteHalf<'_> {
    fn write_now(&mut self, bytes: &[u8]) -> usize {
        self.try_write(bytes).unwrap_or(0)
    }
}

impl Outgoing for WriteHalf<TlsStream<TcpStream>> {
    /// Encrypted bytes are written when the connection takes them.
    fn write_now(&mut self, _: &[u8]) -> usize {
        0
    }
}

/// The halves of an encrypted connection.
pub(super) fn halves(
    stream: TlsStream<TcpStream>,
) -> (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>) {
    tokio::io::split(stream)
}
