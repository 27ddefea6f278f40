//! The market of the demo: the companies of the S&P 500, and made-up people at them.
//!
//! The companies are real (datasets/s-and-p-500-companies, Open Data Commons Public Domain Dedication and License).
//! Everything else is generated, marked with the tag `generated`, and under the reserved domain `.example`.

use super::Play;
use super::lots::{draw, pick};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeSet;
use tandem_app::{AccountUpsertMany, ContactRow, ContactUpsertMany, RowResult, TaxonomyLibraryInstall};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{ConsentGiven, ConsentState, ContactPatch};
use tandem_domain::edit::Edit;

const COMPANIES: &str = include_str!("sp500.csv");

/// A company of the file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Company {
    #[serde(rename = "Symbol")]
    pub(super) symbol: String,
    #[serde(rename = "Security")]
    name: String,
    #[serde(rename = "GICS Sector")]
    sector: String,
    #[serde(rename = "Headquarters Location")]
    headquarters: String,
    #[serde(rename = "CIK")]
    cik: String,
}

impl Company {
    /// The domain that stands for the company in the demo.
    pub(super) fn domain(&self) -> String {
        format!("{}.example", self.symbol.to_lowercase().replace('.', "-"))
    }

    /// How much the demo's sales team thinks of it.
    pub(super) fn tier(&self) -> &'static str {
        match draw(&["tier", &self.symbol]) {
            lot if lot < 0.15 => "T1",
            lot if lot < 0.50 => "T2",
            _ => "T3",
        }
    }

    fn account(&self) -> AccountPatch {
        // "Saint Paul, Minnesota": the taxonomy of territories knows states and countries by their names.
        // Some cells end in a footnote mark, and one company says that it has no headquarters.
        let place = self.headquarters.rsplit(", ").next().unwrap_or_default();
        let place = place.split('[').next().unwrap_or_default();
        AccountPatch {
            name: Some(self.name.clone()),
            domains: Some(vec![self.domain()]),
            registry_number: Edit::Set(format!("CIK {}", self.cik)),
            external_ids: [("sp500".to_owned(), Some(self.symbol.clone()))].into(),
            tier: Edit::Set(self.tier().to_owned()),
            industry: Edit::Set(self.sector.clone()),
            territory: if place == "none" { Edit::Keep } else { Edit::Set(place.to_owned()) },
            source: Edit::Set("sp500".to_owned()),
            ..AccountPatch::default()
        }
    }
}

/// A generated person.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) email: String,
    name: String,
    title: &'static str,
    phone: Option<String>,
    pub(super) company: Company,
    pub(super) consents: bool,
    /// The hour of the month in which the person raises a hand, if ever.
    pub(super) raises_hand: Option<i64>,
}

const GIVEN: &[&str] = &[
    "Ash", "Briar", "Clove", "Dale", "Ember", "Fern", "Glen", "Hazel", "Ivy", "Juniper", "Kale", "Laurel", "Moss",
    "Nettle", "Oakley", "Poppy", "Quill", "Rowan", "Sage", "Thorn",
];
const FAMILY: &[&str] = &[
    "Alder", "Birch", "Cedar", "Dune", "Elm", "Fjord", "Grove", "Heath", "Islet", "Jetty", "Knoll", "Larch", "Meadow",
    "North", "Orchard", "Pine", "Quarry", "Ridge", "Spruce", "Tarn", "Upland", "Vale", "Willow", "Yarrow",
];
const TITLES: &[&str] = &["Head of Operations", "Director of Procurement", "VP Engineering", "Plant Manager", "CIO"];

impl Person {
    fn at(company: &Company, number: u8) -> Result<Self> {
        let number = number.to_string();
        let words = |what| [what, company.symbol.as_str(), number.as_str()];
        let given = pick(GIVEN, &words("given")).context("there are given names")?;
        let family = pick(FAMILY, &words("family")).context("there are family names")?;
        // 555-0100 to 555-0199 are kept free for fiction.
        let line = 100.0 + (draw(&words("line")) * 100.0).floor();
        Ok(Self {
            email: format!("{}.{}{number}@{}", given.to_lowercase(), family.to_lowercase(), company.domain()),
            name: format!("{given} {family}"),
            title: pick(TITLES, &words("title")).copied().unwrap_or("Buyer"),
            phone: (draw(&words("phone")) < 0.5).then(|| format!("+1 212 555 0{line}")),
            consents: draw(&words("consent")) < 0.85,
            #[expect(clippy::cast_possible_truncation, reason = "below 720")]
            raises_hand: (draw(&words("lead")) < 0.20).then(|| ((3.0 + 26.0 * draw(&words("day"))) * 24.0) as i64),
            company: company.clone(),
        })
    }

    fn row(&self) -> ContactRow {
        let state = if self.consents { ConsentState::Granted } else { ConsentState::Unknown };
        let contact = ContactPatch {
            name: Edit::Set(self.name.clone()),
            email: Edit::Set(self.email.clone()),
            phone: self.phone.clone().map_or(Edit::Keep, Edit::Set),
            title: Edit::Set(self.title.to_owned()),
            time_zone: Edit::Set("America/New_York".to_owned()),
            tags: Some(vec!["generated".to_owned()]),
            source: Edit::Set("demo".to_owned()),
            consent: Some(ConsentGiven { state, source: Some("demo".to_owned()), at: None }),
            ..ContactPatch::default()
        };
        ContactRow { contact, account: None }
    }
}

/// The companies and the people at them.
pub(super) struct Market {
    pub(super) companies: Vec<Company>,
    pub(super) people: Vec<Person>,
}

impl Market {
    /// Reads the companies and makes up two people at each.
    pub(super) fn open() -> Result<Self> {
        let mut reader = csv::Reader::from_reader(COMPANIES.as_bytes());
        let mut companies =
            reader.deserialize().collect::<Result<Vec<Company>, _>>().context("reading the companies")?;
        // Three companies are listed twice, once for each class of their shares.
        let mut seen = BTreeSet::new();
        companies.retain(|company| seen.insert(company.cik.clone()));
        let mut people = Vec::with_capacity(companies.len() * 2);
        for company in &companies {
            for number in 1..=2 {
                people.push(Person::at(company, number)?);
            }
        }
        Ok(Self { companies, people })
    }
}

impl Play {
    /// Brings companies and people into the database. Doing it again changes nothing.
    pub(super) async fn stock(&self) -> Result<()> {
        let ops = super::people::by(&self.people.ops);
        self.app.run(&ops.clone().with_key(Some("demo taxonomies".to_owned())), TaxonomyLibraryInstall).await?;
        for companies in self.market.companies.chunks(500) {
            let rows = companies.iter().map(Company::account).collect();
            let done = self.app.run(&ops, AccountUpsertMany { rows }).await.context("importing the companies")?;
            refuse_any(&done.rows)?;
        }
        for people in self.market.people.chunks(500) {
            let rows = people.iter().map(Person::row).collect();
            let upsert = ContactUpsertMany { rows, default_region: Some("US".to_owned()) };
            let done = self.app.run(&ops, upsert).await.context("importing the people")?;
            refuse_any(&done.rows)?;
        }
        Ok(())
    }
}

/// The demo's own data has no bad row; one would be a defect.
fn refuse_any(rows: &[RowResult]) -> Result<()> {
    for (number, row) in rows.iter().enumerate() {
        if let RowResult::Refused(refusal) = row {
            anyhow::bail!("row {}: {}: {}", number + 1, refusal.code, refusal.message);
        }
    }
    Ok(())
}
