//! Stands between a worker and PostgreSQL, and breaks the network on demand.

use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything passes.
    Open,
    /// Connections stay, nothing passes.
    Stalled,
    /// Connections are closed and refused.
    Cut,
}

/// A proxy; gone when it is dropped.
pub(crate) struct Proxy {
    url: String,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before a database of the test's PostgreSQL, which listens on a Unix socket; none before SQLite.
    pub(crate) async fn before(url: &str) -> Option<Self> {
        let (address, dir) = url.strip_prefix("postgres://")?.split_once("?host=")?;
        let (_, database) = address.split_once('/')?;
        let socket = PathBuf::from(dir).join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, watching) = watch::channel(Mode::Open);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if *watching.borrow() == Mode::Cut {
                    continue;
                }
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                tokio::spawn(pass_on(client_reads, server_writes, watching.clone()));
                tokio::spawn(pass_on(server_reads, client_writes, watching.clone()));
            }
        });
        Some(Self { url: format!("postgres://tandem@127.0.0.1:{port}/{database}"), mode, accepting })
    }

    /// The database's address through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub(crate) fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    pub(crate) fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Cut);
        self.accepting.abort();
    }
}

async fn pass_on(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = mode.wait_for(|mode| *mode == Mode::Cut) => 0,
        };
        // What was read while nothing passes goes on later, unless the connection is cut meanwhile.
        let passes = mode.wait_for(|mode| *mode != Mode::Stalled).await.is_ok_and(|mode| *mode == Mode::Open);
        if read == 0 || !passes || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
