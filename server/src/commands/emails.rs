//! `tandem emails`: what an operator sees of e-mails that did not come to a good end, and what a person decides about those
//! of unknown fate.

use super::Outcome;
use super::print::{list, or_dash, plain, put, put_json, short, time};
use crate::config::Settings;
use crate::wiring;
use anyhow::Context;
use serde_json::json;
use tandem_app::{Call, EmailResolve};
use tandem_domain::email::{Email, EmailState, Resolution};
use tandem_domain::id::EmailId;
use tandem_store::email::EmailFilter;
use tandem_store::{Page, PageOf};
use uuid::Uuid;

/// What to look at, or what to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The e-mails in a state, by default those that wait for a person or for the mail server
    List(List),
    /// Say what became of e-mails of unknown fate: UNKNOWN ones are not sent again by themselves
    Resolve(Resolve),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// In this state, for example UNKNOWN; may be given more than once [default: UNKNOWN and DEFERRED]
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<EmailState>,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Look into the mail server's log for the Message-ID that `tandem emails list --json` shows.")]
pub(super) struct Resolve {
    /// The e-mails
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<Uuid>,

    /// Every UNKNOWN one, up to 10,000
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// `sent`: they went out. `resend`: they did not, so send them again; whoever got one gets it twice if that is wrong
    #[arg(long = "as", value_name = "FATE", value_parser = resolution)]
    resolution: Resolution,

    /// Print JSON instead of a line
    #[arg(long)]
    json: bool,
}

fn state(text: &str) -> Result<EmailState, String> {
    let codes = || EmailState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    text.to_ascii_uppercase().parse().map_err(|_| format!("`{text}` is none of {}", codes()))
}

fn resolution(text: &str) -> Result<Resolution, String> {
    text.to_ascii_uppercase().parse().map_err(|_| format!("`{text}` is neither `sent` nor `resend`"))
}

/// Runs the command.
pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<Outcome> {
    let app = wiring::app(settings, wiring::open_existing(settings).await?).await?;
    match command {
        Command::List(List { states, limit, json }) => {
            let states = if states.is_empty() { vec![EmailState::Unknown, EmailState::Deferred] } else { states };
            let filter = EmailFilter { states, ..EmailFilter::default() };
            show(app.store.email_page(&filter, &Page::first(limit)).await?, json)
        }
        Command::Resolve(Resolve { ids, all: _, resolution, json }) => {
            let ids = if ids.is_empty() {
                let unknown = EmailFilter { states: vec![EmailState::Unknown], ..EmailFilter::default() };
                let page = app.store.email_page(&unknown, &Page::first(10_000)).await?;
                page.items.into_iter().map(|email| email.id).collect()
            } else {
                ids.into_iter().map(EmailId::from).collect::<Vec<_>>()
            };
            // Whoever can run this command has the database anyway; the record says that Tandem's operator did it.
            let call = Call::system(format!("cli-{}", app.env.id::<Uuid>(app.env.now())));
            for (done, email) in ids.iter().copied().enumerate() {
                let resolved = app.run(&call, EmailResolve { email, resolution }).await;
                resolved.with_context(|| format!("{done} of {} are resolved; e-mail {email}", ids.len()))?;
            }
            match json {
                true => put_json(&json!({ "emails": ids.len() })),
                false => put(&format!("{} e-mails are now as you said", ids.len())),
            }
        }
    }
}

fn show(page: PageOf<Email>, as_json: bool) -> anyhow::Result<Outcome> {
    let fields = |email: &Email| {
        json!({
            "id": email.id, "state": email.state, "to": email.to.address, "subject": email.subject,
            "messageId": email.message_id, "attempts": email.attempts, "error": email.error,
            "plannedAt": time(email.planned_at), "begunAt": email.begun_at.map(time),
            "settledAt": email.settled_at.map(time),
        })
    };
    let row = |email: &Email| {
        [
            email.id.to_string(),
            email.state.to_string(),
            plain(&email.to.address),
            email.attempts.to_string(),
            or_dash(email.begun_at.map(time)),
            or_dash(email.error.as_deref().map(short)),
        ]
    };
    list(page, false, as_json, "no such e-mails", fields, ["ID", "STATE", "TO", "ATTEMPTS", "BEGUN", "ERROR"], row)
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn states_and_fates_are_read_in_either_case_and_refused_by_name() {
        assert_eq!(state("unknown"), Ok(EmailState::Unknown));
        assert!(state("lost").unwrap_err().starts_with("`lost` is none of PLANNED, SENDING"));
        assert_eq!(resolution("resend"), Ok(Resolution::Resend));
        assert!(resolution("perhaps").is_err());
        let parses = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("tandem emails resolve --all --as sent"));
        assert!(!parses("tandem emails resolve --as sent"), "which?");
        assert!(!parses("tandem emails resolve --all"), "as what?");
    }
}
