//! The client against a store played by the test.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::counters::Counters;
use crate::tls::ClientFiles;

const TIMEOUT: Duration = Duration::from_millis(80);

fn keys(names: &[&str]) -> MultiGet {
    let mut keys = MultiGet::with_capacity(64, false);
    for name in names {
        keys.key(&[name.as_bytes()]);
    }
    keys
}

#[allow(clippy::unnecessary_wraps)] // as what it is compared with
fn answered(cells: Cells) -> Option<Fetched> {
    Some(Fetched {
        cells,
        unanswered: Vec::new(),
    })
}

fn start(port: u16) -> (Store, Arc<StoreHealth>) {
    let health = Arc::new(StoreHealth::default());
    let address = Address::parse(&format!("redis://127.0.0.1:{port}"), &ClientFiles::default()).unwrap();
    let shared = Shared {
        timeout: TIMEOUT,
        health: Arc::clone(&health),
        counters: Arc::new(Counters::default()),
    };
    let store = Store::start(address, shared);
    (store, health)
}

/// Accepts a connection and answers its greeting.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    asked_for(&mut stream, "skewless:barrier").await;
    stream.write_all(b"+OK\r\n*1\r\n$-1\r\n").await.unwrap();
    stream
}

/// Reads until a command naming this key has come.
async fn asked_for(stream: &mut TcpStream, key: &str) {
    let mut buffer = BytesMut::new();
    let end = format!("{key}\r\n");
    while !buffer.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn answers_come_in_order_and_a_late_one_fails_alone() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (store, health) = start(listener.local_addr().unwrap().port());
        let play = async {
            let mut stream = accept(&listener).await;
            asked_for(&mut stream, "b").await;
            stream.write_all(b"*1\r\n$1\r\nA\r\n").await.unwrap();
            tokio::time::sleep(TIMEOUT * 2).await;
            stream.write_all(b"*2\r\n$1\r\nB\r\n$-1\r\n").await.unwrap();
            asked_for(&mut stream, "c").await;
            stream.write_all(b"*1\r\n$1\r\nC\r\n").await.unwrap();
            stream
        };
        let ask = async {
            let (a, b) = tokio::join!(store.fetch(keys(&["a"])), store.fetch(keys(&["x", "b"])));
            assert_eq!(a, answered(vec![Some("A".into())]));
            assert_eq!(b, None);
            assert!(health.error().unwrap().contains("within 80 ms"));
            tokio::time::sleep(TIMEOUT * 2).await;
            assert_eq!(store.fetch(keys(&["c"])).await, answered(vec![Some("C".into())]));
            assert_eq!(health.error(), None);
        };
        let (_stream, ()) = tokio::join!(play, ask);
    });
}

#[test]
fn a_store_that_is_down_fails_at_once_and_heals() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (store, health) = start(port);
        assert_eq!(store.fetch(keys(&["a"])).await, None);
        assert!(health.error().unwrap().contains(&format!("127.0.0.1:{port}")));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut stream = accept(&listener).await;
        while health.error().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let play = async {
            asked_for(&mut stream, "a").await;
            stream.write_all(b"*1\r\n$-1\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(store.fetch(keys(&["a"])), play);
        assert_eq!(answer, answered(vec![None]));
        drop(stream);
        while health.error().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(store.fetch(keys(&["a"])).await, None);
    });
}

#[test]
fn a_silent_connection_is_given_up() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (store, _) = start(listener.local_addr().unwrap().port());
        let play = async {
            let silent = accept(&listener).await;
            let next = accept(&listener).await;
            drop((silent, next));
        };
        let ((), answer) = tokio::join!(play, store.fetch(keys(&["a"])));
        assert_eq!(answer, None);
    });
}

#[test]
fn an_error_of_the_store_is_told() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (store, health) = start(listener.local_addr().unwrap().port());
        let play = async {
            let mut stream = accept(&listener).await;
            asked_for(&mut stream, "a").await;
            stream.write_all(b"-LOADING it is\r\n").await.unwrap();
            stream
        };
        let (_stream, answer) = tokio::join!(play, store.fetch(keys(&["a"])));
        assert_eq!(answer, None);
        assert!(
            health
                .error()
                .unwrap()
                .ends_with("refuses to read: LOADING it is")
        );
    });
}

#[test]
fn a_store_that_lets_nobody_read_is_told_before_anybody_asks() {
    runtime().block_on(async {
        for (answers, says) in [
            (
                "+OK\r\n-NOPERM no permissions to run 'mget'.\r\n",
                "refuses this client: NOPERM",
            ),
            (
                "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n",
                "refuses this client: NOAUTH",
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (store, health) = start(listener.local_addr().unwrap().port());
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answers.as_bytes()).await.unwrap();
            while health.error().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let error = health.error().unwrap();
            assert!(error.contains(says), "{error}");
            assert_eq!(store.fetch(keys(&["a"])).await, None);
        }
    });
}
