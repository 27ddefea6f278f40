//! `tandem demo`: a month of the loop on a fresh database, a report, and a server to look around in.

use super::Outcome;
use super::serve;
use crate::config::{Secret, Settings};
use crate::demo::{self, Played, Stage};
use crate::shutdown;
use crate::wiring;
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use tandem_app::{AccessTokenIssue, App, Call, Env};
use tandem_domain::access::{Role, User};

/// Options of `tandem demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keep the database in this folder; a demo that was interrupted there goes on. Without it the folder is temporary
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// End after the report instead of serving
    #[arg(long)]
    no_serve: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Let the month begin on this day instead of 30 days ago
    #[arg(long, value_name = "DATE", hide = true)]
    start: Option<NaiveDate>,
}

/// The temporary folder, removed when the demo ends.
enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// Plays the month, reports, and serves until a signal.
pub(super) async fn run(mut settings: Settings, args: Args) -> Result<Outcome> {
    let place = match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
            Place::Kept(dir.clone())
        }
        None => Place::Temporary(tempfile::tempdir().context("cannot make a temporary folder")?),
    };
    if !settings.database.url.reveal().starts_with("postgres") {
        let file = place.path().join("tandem.db");
        settings.database.url = Secret::new(format!("sqlite://{}", file.display()));
        // Nothing in a demo needs to survive a loss of power.
        settings.database.sync_every_commit = false;
    }
    let listener = if args.no_serve { None } else { Some(bind(&mut settings).await?) };
    let store = wiring::open(&settings, wiring::Migrate::Always).await?;
    let day_start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let month_ago = wiring::now() - TimeDelta::days(30);
    let start: DateTime<Utc> = args.start.map_or_else(|| day_start(month_ago.date_naive()), day_start);
    let stage = Stage {
        store: store.clone(),
        start,
        base_url: settings.server.base_url(),
        link_secret: wiring::link_secret(&settings, &store).await?,
        mail_log: place.path().join("mail.ndjson"),
        progress: progress(),
    };
    let played = demo::play(stage).await?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&played.report)?)?;
    } else {
        writeln!(out, "\n{}", played.report)?;
    }
    let broken = played.report.ledger_broken.is_some();
    let Some(listener) = listener else {
        return Ok(if broken { Outcome::Failed } else { Outcome::Done });
    };
    let Played { mail, cast, sink, .. } = played;
    // From here on real time goes on, over the same database and the same mail server.
    let env = Env { mail, ..wiring::env(&settings, &store).await? };
    let app = App::new(store, env);
    let address = format!("http://{}", listener.local_addr()?);
    introduce(&mut out, &app, &address, &cast).await?;
    let (trigger, shutdown) = shutdown::channel();
    shutdown::on_signals(trigger)?;
    serve::serve(settings, app, listener, shutdown).await?;
    drop(sink);
    Ok(Outcome::Done)
}

/// Binds the configured address, or a free port where something else has it: a demo should not fail on that.
async fn bind(settings: &mut Settings) -> Result<tokio::net::TcpListener> {
    if let Ok(listener) = serve::bind(settings).await {
        return Ok(listener);
    }
    let taken = std::mem::replace(&mut settings.server.listen, "127.0.0.1:0".to_owned());
    eprintln!("{taken} is taken; another port is used");
    serve::bind(settings).await
}

/// A bar for people, a line an hour of the month for whoever reads the output.
fn progress() -> Box<dyn Fn(i64, i64) + Send + Sync> {
    if !std::io::stderr().is_terminal() {
        return Box::new(|done, all| eprintln!("hour {done} of {all}"));
    }
    let style = ProgressStyle::with_template("playing a month  {bar:40} {pos}/{len} h  {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    Box::new(move |done, all| {
        bar.set_length(all.unsigned_abs());
        bar.set_position(done.unsigned_abs());
        if done == all {
            bar.finish_and_clear();
        }
    })
}

/// Prints the address, a token for each of four roles, and three queries.
async fn introduce(out: &mut impl Write, app: &App, address: &str, cast: &[(Role, User)]) -> Result<()> {
    writeln!(out, "Tandem is at {address} (GraphiQL: {address}/graphql). Tokens, each good for a day:\n")?;
    let mut tokens = std::collections::BTreeMap::new();
    for (role, user) in cast {
        let mut issue = AccessTokenIssue::new(user.id, "demo", *role);
        issue.expires_at = Some(app.env.now() + TimeDelta::days(1));
        let issued = app.issue_token(&Call::system("demo"), issue).await?;
        let secret = issued.secret.context("a new token has a secret")?;
        writeln!(out, "  {:<10} {:<6} {secret}", role.as_str(), user.name)?;
        tokens.insert(*role, secret);
    }
    writeln!(out, "\nThree queries to try:\n")?;
    for (role, what, query) in QUERIES {
        let token = tokens.get(&role).map_or("TOKEN", String::as_str);
        let body = serde_json::json!({ "query": query });
        writeln!(out, "# {what}")?;
        writeln!(out, "curl -s {address}/graphql -H 'Authorization: Bearer {token}' \\")?;
        writeln!(out, "  -H 'Content-Type: application/json' -d '{body}'\n")?;
    }
    Ok(())
}

/// The queries that the demo prints; a test runs them as printed.
pub const QUERIES: [(Role, &str, &str); 3] = [
    (
        Role::Sdr,
        "what an SDR should do next",
        "{ workQueue(first: 3) { nodes { title priority dueAt lead { source stage } } } }",
    ),
    (
        Role::Sales,
        "what became of the leads, by source",
        "{ funnelReport(groupBy: SOURCE) { rows { key leads verified dispatched accepted won lost returned } } }",
    ),
    (
        Role::Admin,
        "the last handoffs, and the proof of the whole record",
        "{ ledger(last: 3, filter: {kind: \"handoff.\"}) { nodes { seq at kind stateBefore stateAfter reason rule actor { name } } } ledgerVerification { entries broken } }",
    ),
];
