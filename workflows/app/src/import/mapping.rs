//! The mapping file: which column of a foreign file feeds which field, and how its values are read.
//!
//! A mapping is bound to a header once; each row then becomes [`Fields`], or a fault that names the column.

use super::fault::{Fault, ImportError};
use super::reader::Record;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};

/// A field that an import can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its name in mappings, in headers without a mapping, and in messages.
    pub name: &'static str,
    /// Whether it takes several values.
    pub many: bool,
    /// Whether a row without it is refused.
    pub required: bool,
    /// Whether a value may have several lines. Elsewhere a line break is what a quote without a partner leaves behind.
    pub lines: bool,
}

impl Known {
    /// A field of one value that may be absent.
    pub const fn one(name: &'static str) -> Self {
        Self { name, many: false, required: false, lines: false }
    }

    /// A field of several values.
    pub const fn many(name: &'static str) -> Self {
        Self { many: true, ..Self::one(name) }
    }

    /// A field of one value that every row needs.
    pub const fn required(name: &'static str) -> Self {
        Self { required: true, ..Self::one(name) }
    }

    /// A field of one value of several lines that may be absent.
    pub const fn text(name: &'static str) -> Self {
        Self { lines: true, ..Self::one(name) }
    }
}

/// How letters are treated before a value is looked up or stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// As they are.
    #[default]
    Keep,
    /// All small.
    Lower,
    /// All capital.
    Upper,
}

/// Where the value of a field comes from. Written as a column's name, or as a mapping of these keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source(Spec);

/// The long form of a [`Source`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    /// The column that is read.
    column: Option<String>,
    /// Several columns, joined by `join` where they are not empty.
    columns: Vec<String>,
    /// What stands between joined columns.
    join: Option<String>,
    /// A value for every row; no column is read.
    constant: Option<String>,
    /// The value where the column is empty.
    default: Option<String>,
    /// Foreign values and what they mean here; compared without regard to case and outer blanks.
    aliases: BTreeMap<String, String>,
    /// Whether a value without an alias is refused.
    only_aliases: bool,
    /// Cells that count as empty, instead of the file's.
    empty: Option<Vec<String>>,
    /// Put in front of each value.
    prefix: String,
    /// The case of letters.
    case: Case,
    /// What separates several values in one cell.
    split: Option<String>,
    /// Whether an empty value is refused.
    required: bool,
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Source;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a column, or a mapping with `column`, `constant` and so on")
            }

            fn visit_str<E>(self, column: &str) -> Result<Source, E> {
                Ok(Source(Spec { column: Some(column.to_owned()), ..Spec::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                Spec::deserialize(MapAccessDeserializer::new(map)).map(Source)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One event that each row of a CSV file of history gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMapping {
    /// Which event, e.g. `won`.
    pub event: String,
    /// Its fields; those of the whole file apply where it names no other.
    #[serde(default)]
    fields: BTreeMap<String, Source>,
    /// Whether a row whose `at` is empty has no such event, instead of being refused.
    #[serde(default)]
    pub optional: bool,
}

/// A mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What the file holds: `accounts`, `contacts`, `leads` or `history`. Checked where given.
    #[serde(default)]
    pub kind: Option<String>,
    /// One ASCII character, or `tab`.
    #[serde(default = "comma")]
    delimiter: String,
    /// Whether outer blanks of cells are removed.
    #[serde(default = "yes")]
    trim: bool,
    /// Cells that count as empty beside those that are; compared without regard to case.
    #[serde(default)]
    empty: Vec<String>,
    /// The zone of times that name none.
    #[serde(default = "utc")]
    time_zone: Tz,
    /// How dates and times are written, in the notation of strftime. RFC 3339 is always read.
    #[serde(default)]
    dates: Vec<String>,
    /// The country that phone numbers without a country code are dialled from: ISO 3166-1, two letters.
    #[serde(default)]
    phone_region: Option<String>,
    /// Field -> where it comes from.
    #[serde(default)]
    fields: BTreeMap<String, Source>,
    /// Key of a custom field -> where it comes from.
    #[serde(default)]
    custom: BTreeMap<String, Source>,
    /// System -> where the record's id in that system comes from.
    #[serde(default)]
    external_ids: BTreeMap<String, Source>,
    /// The events of a row, for `history` alone.
    #[serde(default)]
    pub events: Vec<EventMapping>,
    /// Made from a header, because no file was given.
    #[serde(skip)]
    implicit: bool,
}

fn comma() -> String {
    ",".to_owned()
}

const fn yes() -> bool {
    true
}

const fn utc() -> Tz {
    Tz::UTC
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            kind: None,
            delimiter: comma(),
            trim: true,
            empty: Vec::new(),
            time_zone: Tz::UTC,
            dates: Vec::new(),
            phone_region: None,
            fields: BTreeMap::new(),
            custom: BTreeMap::new(),
            external_ids: BTreeMap::new(),
            events: Vec::new(),
            implicit: false,
        }
    }
}

fn names(known: &[Known]) -> String {
    known.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

impl Mapping {
    /// Reads a mapping from YAML.
    pub fn parse(yaml: &str) -> Result<Self, ImportError> {
        // Strict, because a column may well be called `n` or `no`.
        let options = serde_saphyr::options! { strict_booleans: true };
        let mapping: Self = serde_saphyr::from_str_with_options(yaml, options)
            .map_err(|error| ImportError::Mapping(error.to_string()))?;
        mapping.delimiter()?;
        for format in &mapping.dates {
            if chrono::format::StrftimeItems::new(format).any(|item| item == chrono::format::Item::Error) {
                return Err(ImportError::Mapping(format!(
                    "`{format}` is not a date format in the notation of strftime"
                )));
            }
        }
        Ok(mapping)
    }

    /// The byte that separates cells.
    pub fn delimiter(&self) -> Result<u8, ImportError> {
        match self.delimiter.as_bytes() {
            b"tab" | b"\t" => Ok(b'\t'),
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err(ImportError::Mapping(format!(
                "`delimiter: {}` is not one ASCII character or `tab`",
                self.delimiter
            ))),
        }
    }

    /// A mapping for a file whose columns bear the names of fields (`custom.x` and `external.x` included).
    pub fn of_header(header: &[String], kind: &'static str, known: &[Known]) -> Result<Self, ImportError> {
        let mut mapping = Self { implicit: true, ..Self::default() };
        for column in header {
            let source = Source(Spec { column: Some(column.clone()), ..Spec::default() });
            if let Some(key) = column.strip_prefix("custom.") {
                mapping.custom.insert(key.to_owned(), source);
            } else if let Some(system) = column.strip_prefix("external.") {
                mapping.external_ids.insert(system.to_owned(), source);
            } else if let Some(field) = known.iter().find(|field| field.name.eq_ignore_ascii_case(column)) {
                mapping.fields.insert(field.name.to_owned(), source);
            } else {
                return Err(ImportError::ColumnUnknown { column: column.clone(), kind, known: names(known) });
            }
        }
        Ok(mapping)
    }

    /// Finds the mapping's columns in `header`. `kind` is what is imported, `known` its fields.
    pub fn bind(&self, header: &[String], kind: &'static str, known: &[Known]) -> Result<Bound, ImportError> {
        if let Some(other) = self.kind.as_deref().filter(|given| *given != kind) {
            return Err(ImportError::Mapping(format!("it is for {other}, but {kind} are imported")));
        }
        if !self.events.is_empty() {
            return Err(ImportError::Mapping("only a mapping of history has `events`".to_owned()));
        }
        self.bind_fields(header, known, &BTreeMap::new())
    }

    /// Finds the columns of each event of a mapping of history.
    pub fn bind_events(&self, header: &[String], known: &[Known]) -> Result<Vec<(EventMapping, Bound)>, ImportError> {
        if let Some(other) = self.kind.as_deref().filter(|given| *given != "history") {
            return Err(ImportError::Mapping(format!("it is for {other}, but history is imported")));
        }
        if self.events.is_empty() {
            return Err(ImportError::Mapping("`events` must name at least one event that a row gives".to_owned()));
        }
        self.events.iter().map(|event| Ok((event.clone(), self.bind_fields(header, known, &event.fields)?))).collect()
    }

    fn bind_fields(
        &self,
        header: &[String],
        known: &[Known],
        extra: &BTreeMap<String, Source>,
    ) -> Result<Bound, ImportError> {
        let empty = |spec: &Spec| -> BTreeSet<String> {
            spec.empty.as_ref().unwrap_or(&self.empty).iter().map(|text| text.trim().to_lowercase()).collect()
        };
        let bind = |name: &str, source: &Source, known: Known| {
            let spec = &source.0;
            let columns = spec.column.iter().chain(&spec.columns).map(|column| find(header, column));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            if columns.is_empty() && spec.constant.is_none() && spec.default.is_none() {
                return Err(ImportError::Mapping(format!("the field `{name}` names no column and no constant")));
            }
            if !columns.is_empty() && spec.constant.is_some() {
                return Err(ImportError::Mapping(format!("the field `{name}` names both a column and a constant")));
            }
            if spec.split.as_deref() == Some("") {
                return Err(ImportError::Mapping(format!("`split` of the field `{name}` is empty")));
            }
            Ok(BoundField {
                name: name.to_owned(),
                columns,
                empty: empty(spec),
                aliases: spec.aliases.iter().map(|(from, to)| (from.trim().to_lowercase(), to.clone())).collect(),
                many: known.many,
                lines: known.lines,
                required: known.required || spec.required,
                spec: spec.clone(),
            })
        };
        let mut fields = Vec::new();
        for name in self.fields.keys().chain(extra.keys()).collect::<BTreeSet<_>>() {
            let field = known.iter().find(|field| field.name == name).ok_or_else(|| {
                ImportError::Mapping(format!("there is no field `{name}`; the fields are {}", names(known)))
            })?;
            if let Some(source) = extra.get(name).or_else(|| self.fields.get(name)) {
                fields.push(bind(name, source, *field)?);
            }
        }
        for field in known.iter().filter(|field| field.required) {
            if !fields.iter().any(|bound| bound.name == field.name) {
                // Without a mapping the header is at fault; with one, the mapping is.
                return Err(if self.implicit {
                    ImportError::HeaderMissing { column: field.name.to_owned(), known: header.join(", ") }
                } else {
                    ImportError::Mapping(format!(
                        "the field `{}` is needed; name its column under `fields`",
                        field.name
                    ))
                });
            }
        }
        let several = |sources: &BTreeMap<String, Source>, family: Known| {
            sources.iter().map(|(key, source)| bind(&format!("{}{key}", family.name), source, family)).collect()
        };
        let custom: Result<Vec<_>, ImportError> = several(&self.custom, Known::text("custom."));
        let external: Result<Vec<_>, ImportError> = several(&self.external_ids, Known::one("external."));
        fields.extend(custom?);
        fields.extend(external?);
        let used: BTreeSet<usize> = fields.iter().flat_map(|field| field.columns.iter().copied()).collect();
        Ok(Bound {
            trim: self.trim,
            time_zone: self.time_zone,
            dates: self.dates.clone(),
            phone_region: self.phone_region.clone(),
            header: header.to_vec(),
            used,
            fields,
        })
    }
}

fn find(header: &[String], column: &str) -> Result<usize, ImportError> {
    let wanted = column.trim().to_lowercase();
    header
        .iter()
        .position(|name| name.to_lowercase() == wanted)
        .ok_or_else(|| ImportError::HeaderMissing { column: column.to_owned(), known: header.join(", ") })
}

#[derive(Debug, Clone)]
struct BoundField {
    name: String,
    columns: Vec<usize>,
    empty: BTreeSet<String>,
    aliases: BTreeMap<String, String>,
    many: bool,
    lines: bool,
    required: bool,
    spec: Spec,
}

/// A mapping whose columns have been found in a header.
#[derive(Debug, Clone)]
pub struct Bound {
    trim: bool,
    time_zone: Tz,
    dates: Vec<String>,
    phone_region: Option<String>,
    header: Vec<String>,
    used: BTreeSet<usize>,
    fields: Vec<BoundField>,
}

/// The values of one row, by field; a field without a value is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    values: BTreeMap<String, Vec<String>>,
}

impl Fields {
    /// Sets the one value of a field.
    pub fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), vec![value]);
    }

    /// The first value of a field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|values| values.first()).map(String::as_str)
    }

    /// The first value of a field, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// The values whose field starts with `family` (`custom.` or `external.`), by the rest of the name.
    pub fn family<'a>(&'a self, family: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.values
            .iter()
            .filter_map(move |(name, values)| Some((name.strip_prefix(family)?, values.first().map(String::as_str)?)))
    }
}

impl Bound {
    /// The values of a row, or what is wrong with it.
    pub fn apply(&self, row: &Record) -> Result<Fields, Fault> {
        let mut fields = Fields::default();
        for field in &self.fields {
            let values = self.values(field, row)?;
            if !values.is_empty() {
                fields.values.insert(field.name.clone(), values);
            } else if field.required {
                let sentence = format!("`{}` is empty and every row needs it", field.name);
                return Err(Fault::new(self.column(&field.name), "IMPORT_VALUE_MISSING", sentence));
            }
        }
        Ok(fields)
    }

    fn values(&self, field: &BoundField, row: &Record) -> Result<Vec<String>, Fault> {
        let spec = &field.spec;
        if let Some(constant) = &spec.constant {
            return Ok(vec![constant.clone()]);
        }
        let split = spec.split.as_deref().or(if field.many { Some(";") } else { None });
        // Values that a mapping finds between line breaks have none.
        let lines = field.lines || split.is_some_and(|by| by.contains(['\n', '\r']));
        let mut parts = Vec::new();
        for index in &field.columns {
            let cell = row.cells.get(*index).map_or("", String::as_str);
            let cell = if self.trim { cell.trim() } else { cell };
            if cell.is_empty() || field.empty.contains(&cell.trim().to_lowercase()) {
                continue;
            }
            if !lines && cell.contains(['\n', '\r']) {
                let sentence = format!(
                    "the cell has {} lines and `{}` takes one; look for an unpaired quote, or write it on one line",
                    cell.lines().count().max(2),
                    field.name
                );
                let column = self.header.get(*index).cloned().unwrap_or_default();
                return Err(Fault::new(column, "IMPORT_LINE_BREAK", sentence));
            }
            parts.push(cell);
        }
        let joined = parts.join(spec.join.as_deref().unwrap_or(" "));
        let pieces = split.map_or_else(|| vec![joined.as_str()], |by| joined.split(by).map(str::trim).collect());
        let mut values = Vec::new();
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let value = match field.aliases.get(&piece.trim().to_lowercase()) {
                Some(meant) if meant.is_empty() => continue,
                Some(meant) => meant.clone(),
                None if spec.only_aliases => {
                    let known = spec.aliases.keys().take(20).cloned().collect::<Vec<_>>().join(", ");
                    let sentence = format!("`{}` has no alias in the mapping; it knows {known}", short(piece));
                    return Err(Fault::new(self.column(&field.name), "IMPORT_VALUE_UNKNOWN", sentence));
                }
                None => match spec.case {
                    Case::Keep => piece.to_owned(),
                    Case::Lower => piece.to_lowercase(),
                    Case::Upper => piece.to_uppercase(),
                },
            };
            values.push(format!("{}{value}", spec.prefix));
        }
        if values.is_empty() {
            values.extend(spec.default.clone());
        }
        if !field.many {
            values.truncate(1);
        }
        Ok(values)
    }

    /// The column that feeds a field, for messages; the field's own name where none does.
    pub fn column(&self, field: &str) -> String {
        let bound = self.fields.iter().find(|bound| bound.name == field);
        let name = bound.and_then(|bound| bound.columns.first()).and_then(|index| self.header.get(*index));
        name.cloned().unwrap_or_else(|| field.to_owned())
    }

    /// The country that phone numbers without a country code are dialled from.
    pub fn phone_region(&self) -> Option<&str> {
        self.phone_region.as_deref()
    }

    /// The columns of the file that no field reads.
    pub fn unused(&self) -> Vec<&str> {
        let unused = self.header.iter().enumerate().filter(|(index, _)| !self.used.contains(index));
        unused.map(|(_, name)| name.as_str()).collect()
    }

    /// Reads a moment: RFC 3339, or one of the mapping's formats in its zone. A date alone means its first moment.
    pub fn moment(&self, field: &str, text: &str) -> Result<DateTime<Utc>, Fault> {
        moment(text, &self.dates, self.time_zone).ok_or_else(|| {
            let sentence = format!(
                "`{}` is not a time; expected RFC 3339{}",
                short(text),
                self.dates.iter().map(|format| format!(" or {format}")).collect::<String>()
            );
            Fault::new(self.column(field), "IMPORT_DATE", sentence)
        })
    }
}

/// The beginning of a value, for a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Reads a moment: RFC 3339, else the formats in order, else `YYYY-MM-DD HH:MM:SS` and `YYYY-MM-DD`, in `zone`.
pub fn moment(text: &str, formats: &[String], zone: Tz) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let usual = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"].map(str::to_owned);
    let formats = if formats.is_empty() { &usual[..] } else { formats };
    let local = formats.iter().find_map(|format| {
        let day = || NaiveDate::parse_from_str(text, format).ok().map(|day| day.and_time(NaiveTime::MIN));
        NaiveDateTime::parse_from_str(text, format).ok().or_else(day)
    })?;
    // An hour that a change of clocks skips (midnight itself, in some zones) means the next; one that it repeats, the first.
    let at = |local: &NaiveDateTime| zone.from_local_datetime(local).earliest();
    at(&local).or_else(|| at(&(local + chrono::TimeDelta::hours(1)))).map(|at| at.to_utc())
}
