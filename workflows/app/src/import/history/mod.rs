//! The past of a funnel that ran elsewhere, run through the same commands at the moments when it happened.
//!
//! A file is read whole (within the limits), put into the order of time, and committed some hundred events at a time. What
//! is in the ledger already is left alone, so that a file can be imported again, or again with more in it.

pub mod event;
mod past;
mod people;
mod steps;
mod subject;

use super::bulk::{Job, fault_of, open};
use super::fault::{Fault, ImportError, Reject};
use super::mapping::{Bound, Mapping};
use super::progress::{Progress, Step, Summary};
use super::reader::{CsvRows, Form, JsonRows};
use super::rejects::Rejects;
use crate::written::Outcome;
use crate::{App, AppError, Call};
use chrono::{DateTime, TimeDelta, Utc};
use event::{Event, EventKind, KNOWN, Row, Shape};
use people::People;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use steps::Steps;
use tandem_domain::access::Role;
use tandem_store::StoreError;

/// Events in one transaction.
const BATCH: usize = 250;
/// How long leads that the file leaves unfinished stay where they are before timers move them.
const PARKED: TimeDelta = TimeDelta::days(365);
/// Over how many hours after that they are spread, so that not all of them move at once.
const SPREAD_HOURS: usize = 30 * 24;

/// A file as it was read.
struct File {
    columns: Vec<String>,
    form: Form,
    unused: Vec<String>,
    shape: Shape,
    rows: Vec<Row>,
    rejects: Vec<Reject>,
    bytes: u64,
}

fn shape_of(mapping: &Mapping, header: &[String]) -> Result<(Shape, Vec<String>), ImportError> {
    let bound = mapping.bind_events(header, KNOWN)?;
    let unused = |bound: &Bound| bound.unused().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let unused = bound.iter().map(|(_, bound)| unused(bound)).reduce(|all, one| &all & &one).unwrap_or_default();
    let mut events = Vec::with_capacity(bound.len());
    for (event, bound) in bound {
        let kind: EventKind = event
            .event
            .parse()
            .map_err(|error: tandem_domain::code::UnknownCode| ImportError::Mapping(error.to_string()))?;
        events.push((kind, event.optional, bound));
    }
    Ok((Shape::Mapped(events), header.iter().filter(|column| unused.contains(*column)).cloned().collect()))
}

/// Reads a file: CSV where there is a mapping, else lines of JSON.
fn read(path: PathBuf, job: &Job) -> Result<File, ImportError> {
    let input = open(&path)?;
    let mut file = File {
        columns: vec!["row".to_owned()],
        form: Form::default(),
        unused: Vec::new(),
        shape: Shape::Json,
        rows: Vec::new(),
        rejects: Vec::new(),
        bytes: 0,
    };
    let take = |file: &mut File, row: Result<super::reader::Record, Reject>| match row {
        Err(reject) => file.rejects.push(reject),
        Ok(record) => match file.shape.events(&record) {
            Ok(events) => file.rows.push(Row { line: record.line, cells: record.cells, events }),
            Err(fault) => file.rejects.push(Reject { line: record.line, fault, cells: record.cells }),
        },
    };
    match &job.mapping {
        Some(mapping) => {
            let mut rows = CsvRows::open(&path, input, mapping.delimiter()?, job.limits)?;
            (file.shape, file.unused) = shape_of(mapping, rows.header())?;
            (file.columns, file.form) = (rows.header().to_vec(), rows.form());
            while let Some(row) = rows.next_row()? {
                take(&mut file, row);
            }
            file.bytes = rows.bytes();
        }
        None => {
            let mut rows = JsonRows::open(&path, input, job.limits)?;
            while let Some(row) = rows.next_row()? {
                take(&mut file, row);
            }
            file.bytes = rows.bytes();
        }
    }
    Ok(file)
}

/// The roles in which events name people.
fn roles(rows: &[Row]) -> HashMap<String, BTreeSet<Role>> {
    let mut roles: HashMap<String, BTreeSet<Role>> = HashMap::new();
    for event in rows.iter().flat_map(|row| &row.events) {
        for (field, role) in [("sdr", Role::Sdr), ("rep", Role::Sales)] {
            if let Some(name) = event.fields.text(field) {
                roles.entry(name.to_owned()).or_default().insert(role);
            }
        }
    }
    roles
}

/// What became of one event, by the row it came from.
type Done = (usize, Result<Outcome, Fault>);

struct Run<'a> {
    app: &'a App,
    call: &'a Call,
    file: &'a File,
    resume: DateTime<Utc>,
    steps: Steps<'a>,
    /// The rows of which an event was refused: what follows in them does not happen.
    refused: BTreeMap<usize, Fault>,
    /// What became of the other rows so far.
    outcomes: BTreeMap<usize, Outcome>,
}

impl Run<'_> {
    /// Some events in one transaction. None where a write failed, so that none of them stands.
    async fn together(&mut self, events: &[(usize, &Event)], dry_run: bool) -> Result<Option<Vec<Done>>, AppError> {
        let mut batch = self.app.batch().await?;
        let mut done: Vec<Done> = Vec::with_capacity(events.len());
        let prepared = self.steps.prepare(&mut batch, self.call, events, self.resume).await;
        if batch.is_broken() || prepared.is_err() {
            self.steps.forget();
            return match prepared {
                Err(error) if !error.is_refusal() => Err(error),
                // Prepared one by one, it is known which event is refused.
                Err(error) if events.len() == 1 => {
                    let (row, _) = events[0];
                    Ok(Some(vec![(row, Err(fault_of(error, |field| self.file.shape.column(field))?))]))
                }
                _ => Ok(None),
            };
        }
        for (row, event) in events {
            let refused = self.refused.contains_key(row) || done.iter().any(|(at, end)| at == row && end.is_err());
            if refused {
                continue;
            }
            let spread = i64::try_from(row % SPREAD_HOURS).unwrap_or_default();
            let resume = self.resume + TimeDelta::hours(spread);
            let result = self.steps.run(&mut batch, self.call, event, resume).await;
            if batch.is_broken() {
                self.steps.forget();
                return match result {
                    Err(error) if !error.is_refusal() => Err(error),
                    _ => Ok(None),
                };
            }
            let end = match result {
                Ok(end) => end.map_err(|fault| Fault { column: self.file.shape.column(&fault.column), ..fault }),
                Err(error) => Err(fault_of(error, |field| self.file.shape.column(field))?),
            };
            done.push((*row, end));
        }
        if dry_run {
            return Ok(Some(done));
        }
        match batch.commit().await {
            Ok(()) => Ok(Some(done)),
            Err(AppError::Store(StoreError::Conflict | StoreError::Duplicate { .. })) => {
                self.steps.forget();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self, done: Vec<Done>) {
        for (row, end) in done {
            match end {
                Ok(outcome) => {
                    let before = self.outcomes.entry(row).or_insert(outcome);
                    if *before == Outcome::Unchanged {
                        *before = outcome;
                    }
                }
                Err(fault) => {
                    self.refused.insert(row, fault);
                }
            }
        }
    }

    async fn chunk(&mut self, events: &[(usize, &Event)]) -> Result<(), AppError> {
        if let Some(done) = self.together(events, false).await? {
            self.keep(done);
            return Ok(());
        }
        // Somebody else wrote meanwhile, or one event cannot be written: each in a transaction of its own.
        for event in events {
            let mut tries = 0;
            let done = loop {
                tries += 1;
                match self.together(std::slice::from_ref(event), false).await? {
                    Some(done) => break done,
                    None if tries < 5 => {}
                    None => {
                        let sentence =
                            "it collides with what is stored, or with what somebody else is doing now; try again";
                        break vec![(event.0, Err(Fault::new("", "CONFLICT", sentence)))];
                    }
                }
            };
            self.keep(done);
        }
        Ok(())
    }
}

/// Imports a file of history. Events that were stored before a failure stand; running it again goes on from there.
pub(super) async fn run(app: &App, call: &Call, job: &Job, progress: &dyn Progress) -> Result<Summary, ImportError> {
    let (path, reading) = (job.file.clone(), job.clone());
    let file = tokio::task::spawn_blocking(move || read(path, &reading)).await.map_err(|error| {
        let source = std::io::Error::other(error.to_string());
        ImportError::Io { path: job.file.clone(), source }
    })??;
    let mut events: Vec<(usize, &Event)> = file
        .rows
        .iter()
        .enumerate()
        .flat_map(|(row, read)| read.events.iter().map(move |event| (row, event)))
        .collect();
    // Stable: what happened at one moment happened in the order of the file.
    events.sort_by_key(|(_, event)| event.at);
    let people = People::new(app, roles(&file.rows));
    let received = events.iter().filter(|(_, event)| event.kind == EventKind::LeadReceived);
    let received = received.map(|(_, event)| (event.lead.clone(), event.at)).collect();
    let mut run = Run {
        app,
        call,
        file: &file,
        resume: app.env.now() + PARKED,
        steps: Steps::new(app, people, received),
        refused: BTreeMap::new(),
        outcomes: BTreeMap::new(),
    };
    if job.dry_run {
        // One transaction, so that events see those before them; it is dropped.
        let done = run.together(&events, true).await?.ok_or(AppError::Store(StoreError::Conflict))?;
        run.keep(done);
    } else {
        let mut passed = 0;
        for chunk in events.chunks(BATCH) {
            run.chunk(chunk).await?;
            passed += chunk.len();
            let share = u64::try_from(passed).unwrap_or_default() * file.bytes;
            let bytes = share / u64::try_from(events.len()).unwrap_or(1).max(1);
            let rejected = run.refused.len() + file.rejects.len();
            let (rows, rejected) = (run.outcomes.len() as u64, rejected as u64);
            progress.advanced(Step { bytes, rows, rejected });
        }
        run.steps.people.rest(call).await?;
    }
    let Run { refused, outcomes, .. } = run;
    finish(job, &file, refused, &outcomes)
}

/// Writes the reject file in the order of the lines, and counts.
fn finish(
    job: &Job,
    file: &File,
    mut refused: BTreeMap<usize, Fault>,
    outcomes: &BTreeMap<usize, Outcome>,
) -> Result<Summary, ImportError> {
    let mut summary = Summary {
        kind: "history".to_owned(),
        dry_run: job.dry_run,
        rows: (file.rows.len() + file.rejects.len()) as u64,
        unused_columns: file.unused.clone(),
        ..Summary::default()
    };
    let mut rejected = file.rejects.clone();
    for (index, row) in file.rows.iter().enumerate() {
        match refused.remove(&index) {
            Some(fault) => rejected.push(Reject { line: row.line, fault, cells: row.cells.clone() }),
            None => summary.count(outcomes.get(&index).copied().unwrap_or(Outcome::Unchanged)),
        }
    }
    rejected.sort_by_key(|reject| reject.line);
    let mut rejects = Rejects::of(&job.file, &file.columns, file.form);
    for reject in &rejected {
        rejects.push(reject)?;
    }
    summary.rejected = rejects.count();
    summary.rejects = rejects.finish()?;
    Ok(summary)
}
