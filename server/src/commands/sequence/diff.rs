//! `tandem sequence diff`: what a file changes against a published version.

use super::{open, read, reference};
use crate::commands::Outcome;
use crate::config::Settings;
use anyhow::Context;
use serde_json::Value;
use std::path::PathBuf;
use tandem_app::App;
use tandem_app::sequence::Compared;
use tandem_domain::email_template::library::Reference;
use tandem_domain::id::SequenceVersionId;
use tandem_domain::sequence::diff::{FieldChange, StepChange, StepChangeKind};

/// Options of `tandem sequence diff`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Diff {
    /// The YAML file; `-` for standard input
    #[arg(value_name = "FILE.yaml")]
    file: PathBuf,

    /// The sequence to compare with, and the number of its version: welcome, or welcome@3. None: the newest version of the
    /// file's own key
    #[arg(long, value_name = "KEY[@N]", value_parser = reference)]
    against: Option<Reference>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compares; nothing is stored.
pub(in crate::commands) async fn run(settings: &Settings, options: &Diff) -> anyhow::Result<Outcome> {
    let source = read(&options.file)?;
    let app = match open(settings, &options.file, &source).await? {
        Ok(app) => app,
        Err(outcome) => return Ok(outcome),
    };
    let against = match &options.against {
        Some(name) => Some(named(&app, name).await?),
        None => None,
    };
    let Compared { against, diff } = app.sequence_diff(&source, against).await?;
    let name = against.as_ref().map(|version| format!("{}@{}", version.definition.header.key, version.number));
    if options.json {
        println!("{}", serde_json::to_string(&serde_json::json!({"against": name, "diff": diff}))?);
        return Ok(Outcome::Done);
    }
    match &name {
        None => println!("nothing is published under this key yet: everything is new"),
        Some(name) if diff.is_empty() => println!("{name} says the same"),
        Some(name) => println!("against {name}:"),
    }
    diff.header.iter().for_each(|change| print_field("", change));
    diff.steps.iter().for_each(print_step);
    Ok(Outcome::Done)
}

/// The version that `KEY` or `KEY@N` names.
async fn named(app: &App, Reference { key, number }: &Reference) -> anyhow::Result<SequenceVersionId> {
    let sequence = app.store.sequence_by_key(key).await?.with_context(|| format!("there is no sequence `{key}`"))?;
    match number {
        Some(number) => {
            let version = app.store.sequence_version_numbered(sequence.id, *number).await?;
            Ok(version
                .with_context(|| format!("`{key}` has no version {number}; the newest is {}", sequence.latest_number))?
                .id)
        }
        None => sequence.latest_version.with_context(|| format!("`{key}` has no published version")),
    }
}

fn print_field(indent: &str, change: &FieldChange) {
    println!("{indent}  {}: {} -> {}", change.path, shown(change.before.as_ref()), shown(change.after.as_ref()));
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), Value::to_string)
}

fn print_step(step: &StepChange) {
    let sign = match step.change {
        StepChangeKind::Added => '+',
        StepChangeKind::Removed => '-',
        StepChangeKind::Changed => '~',
    };
    let moved = match (step.moved, step.place_before, step.place_after) {
        (true, Some(before), Some(after)) => format!(", moved from place {before} to {after}"),
        _ => String::new(),
    };
    println!("{sign} {} ({}){moved}", step.id, step.kind);
    if step.change != StepChangeKind::Removed {
        step.fields.iter().for_each(|change| print_field("  ", change));
    }
    if step.change == StepChangeKind::Changed && step.ways_before != step.ways_after {
        println!("    next: {} -> {}", step.ways_before.join(", "), step.ways_after.join(", "));
    }
}
