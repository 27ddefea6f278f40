//! `tandem template`: checks, publishes and shows templates of e-mails that sequences share.

use super::Outcome;
use super::sequence::{read, reference, report};
use crate::config::Settings;
use crate::wiring::{self, Migrate};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use tandem_app::email_template::{Previewed, TemplateApplied, email_template_advice, email_template_validate};
use tandem_app::sequence::Applied;
use tandem_app::{App, AppError, Call};
use tandem_domain::contact::BY_EMAIL;
use tandem_domain::email_template::library::{Misfit, Reference};
use tandem_domain::email_template::{Library, Usage};
use tandem_domain::id::{ContactId, LeadId, local};
use tandem_domain::normalise;

/// What to do with a template.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check a file against every rule, without a database; exit code 1, and every problem with its line, otherwise
    Validate {
        /// The YAML file; `-` for standard input
        #[arg(value_name = "FILE.yaml")]
        file: PathBuf,
    },
    /// Publish a file as the next version of its template. No sequence changes: see `uses`. Applying it again changes nothing
    Apply {
        /// The YAML file; `-` for standard input
        #[arg(value_name = "FILE.yaml")]
        file: PathBuf,
    },
    /// Print the e-mail as a contact would get it; nothing is sent or stored
    Preview(Preview),
    /// Print which versions of sequences took a template, which version of it, and how many runs they have
    Uses(Uses),
}

/// Options of `tandem template preview`.
#[derive(Debug, clap::Args)]
pub(super) struct Preview {
    /// The YAML file; `-` for standard input. None: the stored template of --key
    #[arg(value_name = "FILE.yaml", required_unless_present = "key", conflicts_with = "key")]
    file: Option<PathBuf>,

    /// A stored template, and the number of its version: welcome_mail, or welcome_mail@3
    #[arg(long, value_name = "KEY[@N]", value_parser = reference)]
    key: Option<Reference>,

    /// Who would get it: the e-mail address of a contact, or its id
    #[arg(long, value_name = "ADDRESS")]
    contact: String,

    /// The id of the lead that it concerns
    #[arg(long, value_name = "ID")]
    lead: Option<String>,
}

/// Options of `tandem template uses`.
#[derive(Debug, clap::Args)]
pub(super) struct Uses {
    /// The key of the template
    key: String,

    /// Publish every sequence again that would take a newer version of it; what runs stays on its version
    #[arg(long)]
    republish: bool,
}

/// Runs the command.
pub(super) async fn run(
    settings: impl FnOnce() -> anyhow::Result<Settings>,
    command: Command,
) -> anyhow::Result<Outcome> {
    let app = async || {
        let settings = settings()?;
        wiring::app(&settings, wiring::open(&settings, Migrate::WhereSafe).await?).await
    };
    match command {
        Command::Validate { file } => validate(&file),
        Command::Apply { file } => {
            let source = read(&file)?;
            if let Err(problems) = email_template_validate(&source) {
                return Ok(report(&file, &problems));
            }
            apply(&app().await?, &file, source).await
        }
        Command::Preview(options) => preview(&app().await?, &options).await,
        Command::Uses(options) => uses(&app().await?, &options).await,
    }
}

/// Checks; it needs neither configuration nor database.
fn validate(file: &Path) -> anyhow::Result<Outcome> {
    let source = read(file)?;
    match email_template_validate(&source) {
        Ok(definition) => {
            for advice in email_template_advice(&source) {
                println!("{}: advice: {advice}", file.display());
            }
            let languages = definition.languages.len();
            println!("{}: {} holds, {languages} more language(s)", file.display(), definition.key);
            Ok(Outcome::Done)
        }
        Err(problems) => Ok(report(file, &problems)),
    }
}

async fn apply(app: &App, file: &Path, source: String) -> anyhow::Result<Outcome> {
    let call = Call::system(wiring::request_ids(&app.env)());
    let version = match app.email_template_apply(&call, source).await {
        Ok(TemplateApplied::Published(version)) => version,
        Ok(TemplateApplied::Unchanged(version)) => {
            println!("version {} of {} says the same: nothing changed", version.number, version.definition.key);
            return Ok(Outcome::Done);
        }
        Err(refused @ AppError::Refused { .. }) => {
            println!("{}: {refused} [{}]", file.display(), refused.code());
            return Ok(Outcome::Failed);
        }
        Err(failed) => return Err(failed.into()),
    };
    let key = &version.definition.key;
    println!("published version {} of {key}", version.number);
    let usages = app.email_template_usages(key).await?;
    let behind = usages.iter().filter(|(usage, _)| usage.would_take(version.number)).count();
    if behind > 0 {
        println!("{behind} sequence(s) took an older version; `tandem template uses {key} --republish` moves them on");
    }
    Ok(Outcome::Done)
}

async fn preview(app: &App, options: &Preview) -> anyhow::Result<Outcome> {
    let of = match (&options.file, &options.key) {
        (Some(file), _) => Previewed::Document(read(file)?),
        (None, Some(Reference { key, number })) => Previewed::Stored { key: key.clone(), number: *number },
        (None, None) => bail!("name a file, or a stored template with --key"),
    };
    let contact = contact(app, &options.contact).await?;
    let lead = match &options.lead {
        Some(lead) => {
            let id = local("Lead", lead).or_else(|| lead.parse().ok());
            Some(LeadId::from(id.with_context(|| format!("`{lead}` is not the id of a lead"))?))
        }
        None => None,
    };
    match app.email_template_preview(&of, contact, lead).await {
        Ok(Ok(letter)) => {
            println!("Language: {}", letter.language.as_deref().unwrap_or("(everybody)"));
            println!("Subject: {}\n\n{}", letter.subject, letter.text);
            if let Some(html) = letter.html {
                println!("\n--- HTML\n{html}");
            }
            Ok(Outcome::Done)
        }
        Ok(Err(problems)) => Ok(report(options.file.as_deref().unwrap_or_else(|| Path::new("-")), &problems)),
        Err(refused) if refused.is_refusal() => {
            println!("{refused} [{}]", refused.code());
            Ok(Outcome::Failed)
        }
        Err(failed) => Err(failed.into()),
    }
}

/// The contact with this address or id.
async fn contact(app: &App, named: &str) -> anyhow::Result<ContactId> {
    let id = local("Contact", named).or_else(|| named.parse().ok());
    let id = match (id, normalise::email(named)) {
        (Some(id), _) => Some(id),
        (None, Ok(address)) => app.store.identity_owner(BY_EMAIL, &address).await?,
        (None, Err(_)) => None,
    };
    Ok(id.with_context(|| format!("there is no contact `{named}`"))?.into())
}

async fn uses(app: &App, options: &Uses) -> anyhow::Result<Outcome> {
    let key = &options.key;
    let Some(template) = app.store.email_template_by_key(key).await? else {
        bail!("there is no template `{key}`");
    };
    println!("{key}: version {} is the newest, {}", template.latest_number, template.state);
    for (usage, sequence) in app.email_template_usages(key).await? {
        let Usage { number, template_number, pinned, current, live_runs, .. } = usage;
        let pinned = if pinned { ", asked for" } else { "" };
        let behind = if usage.is_behind(template.latest_number) { ", behind" } else { "" };
        let current = if current { "newest" } else { "earlier" };
        println!(
            "  {}@{number} ({current}): version {template_number}{pinned}{behind}; {live_runs} live run(s)",
            sequence.key
        );
    }
    if !options.republish {
        return Ok(Outcome::Done);
    }
    let call = Call::system(wiring::request_ids(&app.env)());
    let mut outcome = Outcome::Done;
    // As it comes: what was published is known, whatever becomes of the rest.
    let told = |sequence: &str, done| match done {
        Ok(Applied::Published(version)) => println!("published version {} of {sequence}", version.number),
        Ok(Applied::Unchanged(version)) => println!("version {} of {sequence} says the same", version.number),
        Err(refused) => {
            let refused: AppError = refused;
            println!("{sequence}: {refused} [{}]", refused.code());
            outcome = Outcome::Failed;
        }
    };
    app.email_template_republish(&call, key, told).await?;
    Ok(outcome)
}

/// The templates of a folder: every file that ends in .yaml, .yml or .json. Those that are none are told on standard error; what
/// takes one of them is refused.
pub(super) fn folder(folder: &Path) -> anyhow::Result<Library> {
    let mut documents = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
        let known = |extension: &std::ffi::OsStr| ["yaml", "yml", "json"].iter().any(|one| extension == *one);
        if path.is_file() && path.extension().is_some_and(known) {
            documents.push((path.display().to_string(), read(&path)?));
        }
    }
    // In one order on every machine.
    documents.sort();
    let (library, misfits) = Library::folder(documents);
    for Misfit { name, problems } in misfits {
        for problem in problems {
            eprintln!("{name}: not taken: {problem}");
        }
    }
    Ok(library)
}
