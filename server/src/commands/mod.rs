//! The command line: one file per command. Commands read options, call the application and print; they decide nothing.

/// As that of the standard library, for people who stop reading early (`| head`): that is no failure.
macro_rules! println {
    () => { $crate::commands::print::line(format_args!("")) };
    ($($words:tt)+) => { $crate::commands::print::line(format_args!($($words)+)) };
}

mod demo;
mod doctor;
mod emails;
mod import;
mod jobs;
mod ledger;
mod migrate;
mod print;
mod schema;
mod sequence;
mod serve;
mod template;
mod token;
mod worker;

use crate::config::{ConfigError, Settings};
use crate::telemetry;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Tandem: marketing and sales working on the same accounts.
#[derive(Debug, Parser)]
#[command(
    name = "tandem",
    version,
    about = "Tandem: target-account lists, nurture sequences, lead verification and dispatch that marketing and sales own together",
    after_help = "Settings come from built-in defaults, then --config FILE, then TANDEM__SECTION__KEY in the \
                  environment.\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
    arg_required_else_help = true
)]
pub struct Cli {
    /// The configuration file; only the keys that differ from the defaults need to be in it
    #[arg(long, global = true, value_name = "FILE", env = "TANDEM_CONFIG")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a month of the whole loop on a fresh database, then serve it
    Demo(demo::Args),
    /// Run the API and the workers in one process
    Serve(serve::Args),
    /// Run workers alone, beside any number of `serve` and `worker` on one PostgreSQL
    Worker(worker::Args),
    /// Bring the tables up to date, or show what is missing
    Migrate(migrate::Args),
    /// Print the GraphQL schema (SDL)
    Schema,
    /// Make access tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Bring in accounts, contacts, leads, or the recorded past of a funnel
    Import(import::Args),
    /// Check, publish or try out a sequence written in YAML
    #[command(subcommand)]
    Sequence(sequence::Command),
    /// Check, publish or show a template of e-mails that sequences share
    #[command(subcommand)]
    Template(template::Command),
    /// Verify or export the ledger
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// See and steer jobs, queues, schedules and nodes
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// See e-mails that wait or are of unknown fate, and say what became of them
    #[command(subcommand)]
    Emails(emails::Command),
    /// Check configuration, database, clock, mail server and queue
    Doctor,
}

/// How a command ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1; the reason has been printed.
    Failed,
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let ended = self.dispatch().await;
        telemetry::stop().await;
        match ended {
            Ok(Outcome::Done) if print::is_whole() => ExitCode::SUCCESS,
            Ok(Outcome::Done) => ExitCode::FAILURE,
            Ok(Outcome::Failed) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error:#}");
                if error.downcast_ref::<ConfigError>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
            }
        }
    }

    async fn dispatch(self) -> anyhow::Result<Outcome> {
        // An empty TANDEM_CONFIG is how some shells and service files say "none".
        let file = self.config.filter(|path| !path.as_os_str().is_empty());
        let load = || Settings::load(file.as_deref(), environment());
        match self.command {
            Command::Schema => schema::run(),
            Command::Doctor => doctor::run(load()).await,
            Command::Demo(args) => demo::run(logged(load()?)?, args).await,
            Command::Serve(args) => serve::run(logged(load()?)?, args).await,
            Command::Worker(args) => worker::run(logged(load()?)?, args).await,
            Command::Migrate(args) => migrate::run(&logged(load()?)?, args).await,
            Command::Token(command) => token::run(&logged(load()?)?, command).await,
            Command::Import(args) => import::run(logged(load()?)?, args).await,
            Command::Sequence(sequence::Command::Validate { file, templates }) => {
                sequence::validate(&file, templates.as_deref())
            }
            Command::Sequence(sequence::Command::Simulate(options)) if options.over.is_asked() => {
                sequence::simulating::run(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Simulate(options)) => sequence::simulate(&options),
            Command::Sequence(sequence::Command::Library(options)) => sequence::library::run(&options),
            Command::Sequence(sequence::Command::Schema) => sequence::schema(),
            Command::Sequence(sequence::Command::Diff(options)) => {
                sequence::diff::run(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Preview(options)) => {
                sequence::running::preview(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::List(options)) => {
                sequence::steering::show(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Pause(options)) => {
                sequence::steering::pause(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Resume(options)) => {
                sequence::steering::resume(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Archive(options)) => {
                sequence::steering::archive(&logged(load()?)?, &options).await
            }
            Command::Sequence(sequence::Command::Apply { file, over }) => {
                sequence::apply(&logged(load()?)?, &file, &over).await
            }
            Command::Template(command) => template::run(|| logged(load()?), command).await,
            Command::Jobs(command) => jobs::run(&logged(load()?)?, command).await,
            Command::Emails(command) => emails::run(&logged(load()?)?, command).await,
            Command::Ledger(command) => ledger::run(&logged(load()?)?, command).await,
        }
    }
}

fn logged(settings: Settings) -> anyhow::Result<Settings> {
    telemetry::start(&settings)?;
    Ok(settings)
}

/// The environment, as far as it is text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_a_simulation_over_people_would_not_look_at_is_refused() {
        let simulate = ["tandem", "sequence", "simulate", "file.yaml"];
        let templates = simulate.into_iter().chain(["--templates", "folder"]);
        assert!(Cli::try_parse_from(templates.clone()).is_ok());
        let both = Cli::try_parse_from(templates.chain(["--contacts", "all"]));
        assert_eq!(both.unwrap_err().kind(), ErrorKind::ArgumentConflict);
        let nobody = Cli::try_parse_from(simulate.into_iter().chain(["--contacts", "all", "--most", "0"]));
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::ValueValidation);
    }
}
