//! Laws of reading files: what is wrong is named by line and column, and takes nothing else with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Cursor, Read};
use std::path::Path;
use tandem_app::import::mapping::{Bound, Known, Mapping};
use tandem_app::import::reader::{CsvRows, JsonRows, Record};
use tandem_app::import::rejects::Rejects;
use tandem_app::import::{Fault, ImportError, Limits, Reject};

fn open(bytes: &[u8]) -> Result<CsvRows<Cursor<Vec<u8>>>, ImportError> {
    CsvRows::open(Path::new("a.csv"), Cursor::new(bytes.to_vec()), b',', Limits::default())
}

fn all<R: Read>(mut rows: CsvRows<R>) -> Vec<Result<Record, Reject>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        found.push(row);
    }
    found
}

fn lines(found: &[Result<Record, Reject>]) -> Vec<u64> {
    found.iter().map(|row| row.as_ref().map_or_else(|reject| reject.line, |record| record.line)).collect()
}

fn faults(found: &[Result<Record, Reject>]) -> Vec<(u64, &str, &str)> {
    let rejects = found.iter().filter_map(|row| row.as_ref().err());
    rejects.map(|reject| (reject.line, reject.fault.column.as_str(), reject.fault.code.as_str())).collect()
}

#[test]
fn rows_know_the_line_they_start_on() {
    for end in ["\n", "\r\n"] {
        let text = ["a,b", "1,2", "", "\"x", "y\",3", "4,5", "6,7"].join(end);
        let found = all(open(text.as_bytes()).unwrap());
        assert_eq!(lines(&found), [2, 4, 6, 7], "line ends {end:?}");
        let text = format!("{text}{end}");
        assert_eq!(lines(&all(open(text.as_bytes()).unwrap())), [2, 4, 6, 7]);
    }
}

#[test]
fn a_byte_order_mark_belongs_to_no_column() {
    let rows = open(b"\xEF\xBB\xBFname\nx\n").unwrap();
    assert_eq!(rows.header(), ["name"]);
}

#[test]
fn a_file_in_utf_16_is_refused_whole() {
    for mark in [[0xFF, 0xFE], [0xFE, 0xFF]] {
        let error = open(&[&mark[..], b"n\0a\0"].concat()).err().unwrap();
        assert_eq!(error.code(), "IMPORT_ENCODING");
        assert!(error.to_string().contains("line 1, column 1"), "{error}");
    }
}

#[test]
fn a_cell_in_another_encoding_is_named_and_the_other_rows_stand() {
    let found = all(open(b"name,city\nAda,Z\xFCrich\nBob,Bern\n").unwrap());
    assert_eq!(faults(&found), [(2, "city", "IMPORT_ENCODING")]);
    assert!(found[0].as_ref().unwrap_err().fault.sentence.contains("byte 2"));
    assert_eq!(found[1].as_ref().unwrap().cells, ["Bob", "Bern"]);
    assert!(matches!(open(b"na\xFCme\n").err(), Some(ImportError::Encoding { line: 1, column: 3, .. })));
}

#[test]
fn a_cell_of_ten_megabytes_is_refused_without_being_held() {
    // The input is made as it is read, so whatever is held is held by the reader.
    let huge = Cursor::new(b"name,note\nAda,\"".to_vec())
        .chain(std::io::repeat(b'x').take(10 * 1024 * 1024))
        .chain(Cursor::new(b"\"\nBob,short\n".to_vec()));
    let found = all(CsvRows::open(Path::new("a.csv"), huge, b',', Limits::default()).unwrap());
    assert_eq!(faults(&found), [(2, "note", "IMPORT_CELL_TOO_LARGE")]);
    let reject = found[0].as_ref().unwrap_err();
    assert!(reject.fault.sentence.contains("10485760"), "{}", reject.fault.sentence);
    assert!(reject.cells[1].len() < 300 && reject.cells[0] == "Ada");
    assert_eq!(found[1].as_ref().unwrap().cells, ["Bob", "short"]);
}

#[test]
fn a_row_of_many_cells_is_counted_without_being_held() {
    let text = format!("a,b\n{}\n1,2\n", ",".repeat(1_000_000));
    let found = all(open(text.as_bytes()).unwrap());
    assert_eq!(faults(&found), [(2, "", "IMPORT_CELL_COUNT")]);
    assert_eq!(found[0].as_ref().unwrap_err().cells.len(), 1_000);
    assert!(found[1].is_ok());
}

#[test]
fn wrong_numbers_of_cells_and_nul_characters_are_refused_row_by_row() {
    let found = all(open(b"a,b\n1\n1,2,3\n1,\0\n1,2\n").unwrap());
    assert_eq!(
        faults(&found),
        [(2, "", "IMPORT_CELL_COUNT"), (3, "", "IMPORT_CELL_COUNT"), (4, "b", "IMPORT_CONTROL_CHARACTER")]
    );
}

#[test]
fn an_empty_file_a_double_column_and_too_many_rows_are_refused_whole() {
    assert_eq!(open(b"").err().unwrap().code(), "IMPORT_FILE_EMPTY");
    assert_eq!(open(b"name,Name\n").err().unwrap().code(), "IMPORT_HEADER_DUPLICATE");
    let limits = Limits { rows: 1, ..Limits::default() };
    let mut rows = CsvRows::open(Path::new("a.csv"), &b"a\n1\n2\n"[..], b',', limits).unwrap();
    assert!(rows.next_row().unwrap().unwrap().is_ok());
    assert_eq!(rows.next_row().unwrap_err().code(), "IMPORT_TOO_MANY_ROWS");
}

#[test]
fn lines_of_json_are_bounded_too() {
    let text = Cursor::new(b"{\"a\":1}\n\n".to_vec())
        .chain(std::io::repeat(b'x').take(10 * 1024 * 1024))
        .chain(Cursor::new(b"\n{\"a\":2}".to_vec()));
    let mut rows = JsonRows::open(Path::new("a.ndjson"), text, Limits::default()).unwrap();
    assert_eq!(rows.next_row().unwrap().unwrap().unwrap().line, 1);
    let reject = rows.next_row().unwrap().unwrap().unwrap_err();
    assert_eq!((reject.line, reject.fault.code.as_str()), (3, "IMPORT_ROW_TOO_LARGE"));
    assert_eq!(rows.next_row().unwrap().unwrap().unwrap(), Record { line: 4, cells: vec!["{\"a\":2}".to_owned()] });
    assert!(rows.next_row().unwrap().is_none());
}

const KNOWN: &[Known] = &[Known::required("name"), Known::one("source"), Known::many("tags"), Known::one("since")];

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn bind(yaml: &str, names: &[&str]) -> Result<Bound, ImportError> {
    Mapping::parse(yaml)?.bind(&header(names), "accounts", KNOWN)
}

fn row(cells: &[&str]) -> Record {
    Record { line: 2, cells: header(cells) }
}

#[test]
fn a_mapping_reads_columns_constants_defaults_aliases_and_lists() {
    let bound = bind(
        "kind: accounts\nempty: [unknown, n/a]\nfields:\n  name: Company\n  source: {column: Origin, aliases: {Web Site: web}, default: none}\n  tags: {column: Labels, split: ','}\ncustom:\n  region: {constant: north}\nexternal_ids:\n  crm: {column: Id, prefix: 'x-'}\n",
        &["company", "Origin", "Labels", "Id", "Spare"],
    )
    .unwrap();
    let fields = bound.apply(&row(&[" Acme ", "WEB SITE", "a, b,,c", "7", ""])).unwrap();
    assert_eq!(fields.text("name"), Some("Acme"));
    assert_eq!(fields.text("source"), Some("web"));
    assert_eq!(fields.all("tags"), ["a", "b", "c"]);
    assert_eq!(fields.family("custom.").collect::<Vec<_>>(), [("region", "north")]);
    assert_eq!(fields.family("external.").collect::<Vec<_>>(), [("crm", "x-7")]);
    assert_eq!(bound.unused(), ["Spare"]);
    assert_eq!(bound.apply(&row(&["Acme", "Unknown", "", "", ""])).unwrap().text("source"), Some("none"));
    let fault = bound.apply(&row(&["N/A", "", "", "", ""])).unwrap_err();
    assert_eq!((fault.column.as_str(), fault.code.as_str()), ("company", "IMPORT_VALUE_MISSING"));
}

#[test]
fn a_mapping_that_cannot_be_is_refused_with_what_is_wrong() {
    for (yaml, code, word) in [
        ("fields: {name: Firm}", "IMPORT_HEADER_MISSING", "Firm"),
        ("fields: {name: Company, colour: Company}", "IMPORT_MAPPING", "colour"),
        ("fields: {source: Company}", "IMPORT_MAPPING", "`name` is needed"),
        ("fields: {name: {column: Company, defualt: x}}", "IMPORT_MAPPING", "defualt"),
        ("felds: {}", "IMPORT_MAPPING", "felds"),
        ("kind: leads\nfields: {name: Company}", "IMPORT_MAPPING", "leads"),
        ("delimiter: '::'", "IMPORT_MAPPING", "delimiter"),
        ("dates: ['%Q']", "IMPORT_MAPPING", "%Q"),
        ("time_zone: Mars/Base", "IMPORT_MAPPING", ""),
    ] {
        let error = bind(yaml, &["Company"]).unwrap_err();
        assert_eq!(error.code(), code, "{yaml}: {error}");
        assert!(error.to_string().contains(word), "{yaml}: {error}");
    }
}

#[test]
fn without_a_mapping_the_header_must_name_fields() {
    let names = header(&["Name", "custom.region", "external.crm"]);
    let bound = Mapping::of_header(&names, "accounts", KNOWN).unwrap().bind(&names, "accounts", KNOWN).unwrap();
    let fields = bound.apply(&row(&["Acme", "n", "7"])).unwrap();
    assert_eq!(fields.text("name"), Some("Acme"));
    let error = Mapping::of_header(&header(&["name", "colour"]), "accounts", KNOWN).unwrap_err();
    assert_eq!(error.code(), "IMPORT_COLUMN_UNKNOWN");
    let names = header(&["source"]);
    let error = Mapping::of_header(&names, "accounts", KNOWN).unwrap().bind(&names, "accounts", KNOWN).unwrap_err();
    assert_eq!(error.code(), "IMPORT_HEADER_MISSING");
}

#[test]
fn times_without_a_zone_are_read_in_that_of_the_mapping() {
    let yaml = "time_zone: America/Sao_Paulo\ndates: ['%d/%m/%Y %H:%M', '%d/%m/%Y']\nfields: {name: n, since: s}";
    let bound = bind(yaml, &["n", "s"]).unwrap();
    for (text, at) in [
        ("01/02/2018 10:30", "2018-02-01T12:30:00Z"),
        ("01/06/2018", "2018-06-01T03:00:00Z"),
        // The clocks went from 23:59 to 01:00: the day begins an hour late.
        ("15/10/2017", "2017-10-15T03:00:00Z"),
        ("2018-01-01T00:00:00+01:00", "2017-12-31T23:00:00Z"),
    ] {
        assert_eq!(bound.moment("since", text).unwrap().to_rfc3339(), at.replace('Z', "+00:00"), "{text}");
    }
    let fault = bound.moment("since", "soon").unwrap_err();
    assert_eq!((fault.column.as_str(), fault.code.as_str()), ("s", "IMPORT_DATE"));
}

#[test]
fn a_reject_file_appears_whole_replaces_the_old_one_and_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("in.csv");
    let columns = header(&["name", "note"]);
    let reject = |line| Reject {
        line,
        fault: Fault::new("note", "IMPORT_ENCODING", "a sentence, with a comma"),
        cells: header(&["Ada", "two\nlines"]),
    };
    let mut rejects = Rejects::of(&source, &columns);
    rejects.push(&reject(2)).unwrap();
    rejects.push(&reject(5)).unwrap();
    assert!(!Rejects::path_of(&source).exists(), "nothing is there before the end");
    let path = rejects.finish().unwrap().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("line,column,code,sentence,name,note\n2,note,IMPORT_ENCODING,"), "{text}");
    let again = all(CsvRows::open(&path, std::fs::File::open(&path).unwrap(), b',', Limits::default()).unwrap());
    assert_eq!(again[0].as_ref().unwrap().cells, ["Ada", "two\nlines"]);
    // A run that fails leaves the old file; one without rejects removes it.
    let mut failing = Rejects::of(&source, &columns);
    failing.push(&reject(9)).unwrap();
    drop(failing);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(Rejects::of(&source, &columns).finish().unwrap(), None);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
