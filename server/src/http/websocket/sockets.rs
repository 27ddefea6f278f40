//! How many sockets are open: the server does not count a connection any more once it is one.

use tokio::sync::watch;

/// The sockets of this process. Cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct Sockets(watch::Sender<usize>);

impl Default for Sockets {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// A socket that counts as open until this is dropped.
pub(super) struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

impl Sockets {
    /// Counts one more.
    pub(super) fn open(&self) -> Open {
        self.0.send_modify(|open| *open += 1);
        Open(self.0.clone())
    }

    /// Waits until none is open.
    pub(in crate::http) async fn closed(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }
}
