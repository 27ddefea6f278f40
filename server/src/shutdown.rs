//! The end of the process: one signal asks for it, a second one enforces it.

use tokio::sync::watch;

/// Tells every part of the process that it is to stop taking on work. Clones see the same moment.
#[derive(Debug, Clone)]
pub struct Shutdown {
    begun: watch::Receiver<bool>,
}

/// Begins the shutdown.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// A shutdown that has not begun, and what begins it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, begun) = watch::channel(false);
    (Trigger(sender), Shutdown { begun })
}

impl Trigger {
    /// Begins the shutdown. Beginning twice is the same as once.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// The same as a value that turns true: the form that the workers take.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.begun.clone()
    }

    /// Waits until it begins. It never does when the trigger is gone without having been used.
    pub async fn begun(&self) {
        let mut begun = self.begun.clone();
        if begun.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Begins the shutdown at the first SIGTERM or SIGINT; the second one ends the process at once, with exit code 1.
pub fn on_signals(trigger: Trigger) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "shutting down; a second signal ends the process at once");
        trigger.begin();
        let name = signals.next().await;
        tracing::warn!(signal = name, "ended at once; jobs in hand are run again when their leases end");
        std::process::exit(1);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
