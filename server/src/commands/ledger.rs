//! `tandem ledger`: verifies the chain, or exports it.

use super::Outcome;
use crate::config::Settings;
use crate::wiring;
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// What to do with the ledger.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check every entry and link; exit code 1, and the first broken entry, when the chain does not hold
    Verify {
        /// The head of an earlier verification (printed then): fails unless that entry is still in the chain
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Write every entry with its links, one JSON object a line, in the order of the chain
    Export {
        /// Where to; standard output where none is given
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only the entries behind this place in the chain
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
    },
}

/// How many entries are read at a time.
const CHUNK: u64 = 1_000;

/// Runs the command.
pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<Outcome> {
    let store = wiring::open_existing(settings).await?;
    match command {
        Command::Verify { head } => {
            let verified = store.verify_ledger().await?;
            if let Some(broken) = verified.broken {
                println!("the ledger is broken after {} good entries: {broken}", verified.entries);
                return Ok(Outcome::Failed);
            }
            if let Some(head) = head
                && !holds(&store, &head).await?
            {
                println!("the ledger holds no entry with the hash {head}: its end was cut off and written anew");
                return Ok(Outcome::Failed);
            }
            println!("the ledger holds: {} entries, head {}", verified.entries, verified.head);
            Ok(Outcome::Done)
        }
        Command::Export { output, after } => {
            let mut to: Box<dyn Write> = match &output {
                Some(path) => {
                    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                    Box::new(BufWriter::new(file))
                }
                None => Box::new(BufWriter::new(std::io::stdout().lock())),
            };
            let mut last = after;
            loop {
                let links = store.ledger_after(last, CHUNK).await?;
                for link in &links {
                    let mut line = serde_json::to_value(&link.entry)?;
                    line["previous"] = link.previous.as_str().into();
                    line["hash"] = link.hash.as_str().into();
                    if let Err(error) = writeln!(to, "{line}") {
                        return stopped(error);
                    }
                    last = link.entry.seq;
                }
                if links.is_empty() {
                    return to.flush().map_or_else(stopped, |()| Ok(Outcome::Done));
                }
            }
        }
    }
}

/// Whoever reads the export may stop early (`| head`); that is no failure.
fn stopped(error: std::io::Error) -> anyhow::Result<Outcome> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(Outcome::Done) } else { Err(error.into()) }
}

async fn holds(store: &tandem_store::Store, head: &str) -> anyhow::Result<bool> {
    let mut last = 0;
    loop {
        let links = store.ledger_after(last, CHUNK).await?;
        let Some(end) = links.last() else { return Ok(false) };
        last = end.entry.seq;
        if links.iter().any(|link| link.hash == head) {
            return Ok(true);
        }
    }
}
