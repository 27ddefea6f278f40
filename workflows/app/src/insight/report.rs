//! The numbers of a sequence.

use crate::{App, AppError, Result};
use chrono::{Datelike, NaiveDate, TimeDelta};
use tandem_domain::sequence::report::ReportGroup;
use tandem_domain::sequence::{Sequence, SequenceVersion};
use tandem_store::views::sequence_report::{ReportAsk, ReportCounts, ReportKey};

/// One row of a report, with what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLine {
    /// What it is about.
    pub key: ReportKey,
    /// What to call it: `welcome@3`, the step, the step and its variant, `2026-W10`.
    pub label: String,
    /// The numbers.
    pub counts: ReportCounts,
}

/// The ISO week so many weeks after that of Monday, 29 December 1969, e.g. `2026-W10`.
fn week(number: i64) -> String {
    let first = NaiveDate::from_ymd_opt(1969, 12, 29).unwrap_or_default();
    let monday = TimeDelta::try_weeks(number).and_then(|weeks| first.checked_add_signed(weeks));
    match monday {
        Some(monday) => format!("{}-W{:02}", monday.iso_week().year(), monday.iso_week().week()),
        None => number.to_string(),
    }
}

impl App {
    /// The numbers of a sequence's runs. Steps come in the order of the version asked for, or of the newest one, and then those of
    /// older versions; every other row in the order of its key.
    pub async fn sequence_report(&self, ask: &ReportAsk) -> Result<Vec<ReportLine>> {
        let missing = || AppError::NotFound { what: "Sequence", id: ask.sequence.into() };
        let sequence: Sequence = self.store.find(ask.sequence).await?.ok_or_else(missing)?;
        let rows = self.store.sequence_report(ask).await?;
        let mut lines: Vec<ReportLine> = rows
            .into_iter()
            // A run of before the steps were written beside it stands at a step without a name.
            .filter(|(key, _)| *key != ReportKey::Step(String::new()))
            .map(|(key, counts)| {
                let label = match &key {
                    ReportKey::Version(number) => format!("{}@{number}", sequence.key),
                    ReportKey::Step(step) => step.clone(),
                    ReportKey::Variant(step, variant) => format!("{step}: {variant}"),
                    ReportKey::Week(number) => week(*number),
                };
                ReportLine { key, label, counts }
            })
            .collect();
        if ask.group == ReportGroup::Step
            && let Some(version) = ask.version.or(sequence.latest_version)
            && let Some(version) = self.store.find::<SequenceVersion>(version).await?
        {
            let place = |line: &ReportLine| {
                let place = version.definition.step(&line.label).map(|(place, _)| place);
                (place.unwrap_or(usize::MAX), line.label.clone())
            };
            lines.sort_by_key(place);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::week;

    #[test]
    fn weeks_are_those_of_iso_8601() {
        assert_eq!((week(0).as_str(), week(1).as_str()), ("1970-W01", "1970-W02"));
        // Friday, 1 January 2021 belongs to the last week of 2020; so does the Monday before.
        let days = |at: &str| at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp() / 86_400;
        assert_eq!(week((days("2021-01-01T23:59:59Z") + 3) / 7), "2020-W53");
        assert_eq!(week((days("2026-03-02T00:00:00Z") + 3) / 7), "2026-W10");
        assert_eq!(week((days("2026-03-01T23:59:59Z") + 3) / 7), "2026-W09");
        assert_eq!(week(i64::MAX), i64::MAX.to_string());
    }
}
