//! Laws of reading files: what is wrong is named by line and column, and takes nothing else with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use tandem_app::import::mapping::{Bound, Known, Mapping};
use tandem_app::import::reader::{CsvRows, Form, JsonRows, Record};
use tandem_app::import::rejects::Rejects;
use tandem_app::import::{Fault, ImportError, Limits, Reject};

/// A pipe: what was read is gone.
struct Once<R>(R);

impl<R: Read> Read for Once<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R> Seek for Once<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}

fn open(bytes: &[u8]) -> Result<CsvRows<Cursor<Vec<u8>>>, ImportError> {
    CsvRows::open(Path::new("a.csv"), Cursor::new(bytes.to_vec()), b',', Limits::default())
}

fn all<R: Read + Seek>(mut rows: CsvRows<R>) -> Vec<Result<Record, Reject>> {
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
    let found = all(CsvRows::open(Path::new("a.csv"), Once(huge), b',', Limits::default()).unwrap());
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
    let mut rows = CsvRows::open(Path::new("a.csv"), Cursor::new(b"a\n1\n2\n"), b',', limits).unwrap();
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
    let mut rejects = Rejects::of(&source, &columns, Form::default());
    rejects.push(&reject(2)).unwrap();
    rejects.push(&reject(5)).unwrap();
    assert!(!Rejects::path_of(&source).exists(), "nothing is there before the end");
    let path = rejects.finish().unwrap().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("line,column,code,sentence,name,note\n2,note,IMPORT_ENCODING,"), "{text}");
    let again = all(CsvRows::open(&path, std::fs::File::open(&path).unwrap(), b',', Limits::default()).unwrap());
    assert_eq!(again[0].as_ref().unwrap().cells, ["Ada", "two\nlines"]);
    // A run that fails leaves the old file; one without rejects removes it.
    let mut failing = Rejects::of(&source, &columns, Form::default());
    failing.push(&reject(9)).unwrap();
    drop(failing);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(Rejects::of(&source, &columns, Form::default()).finish().unwrap(), None);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The cells of the rows that were taken.
fn taken(found: &[Result<Record, Reject>]) -> Vec<&[String]> {
    found.iter().filter_map(|row| row.as_ref().ok()).map(|record| record.cells.as_slice()).collect()
}

#[test]
fn a_quote_without_a_partner_costs_the_line_on_which_it_opens_alone() {
    // Never closed; closed in the middle of a cell, by the next stray one or by quotes that have a partner of their own.
    for (text, faulty, good) in [
        ("v1,V,\"CEO\nv2,V,T\nv3,V,T\n", &[(2, "c", "IMPORT_QUOTE")][..], &["v2", "v3"][..]),
        ("v0,V,T\n\nv1,V,\"CEO", &[(4, "c", "IMPORT_QUOTE")], &["v0"]),
        ("w1,\"W,T\nw2,\"W,T\nw3,W,T\n", &[(2, "b", "IMPORT_QUOTE"), (3, "b", "IMPORT_QUOTE")], &["w3"]),
        ("w1,\"W,T\nw2,\"W, Jr\",T\nw3,\"\",\"T\"\n", &[(2, "b", "IMPORT_QUOTE")], &["w2", "w3"]),
        ("w0,\"two\nlines\",T\nw1,\"two\nlines\",\"T\nw2,W,T\n", &[(4, "c", "IMPORT_QUOTE")], &["w0", "w2"]),
    ] {
        for end in ["\n", "\r\n"] {
            let text = format!("a,b,c\n{text}").replace('\n', end);
            let found = all(open(text.as_bytes()).unwrap());
            assert_eq!(faults(&found), faulty, "{text}");
            assert_eq!(taken(&found).iter().map(|cells| cells[0].as_str()).collect::<Vec<_>>(), good, "{text}");
        }
    }
    let found = all(open(b"a,b,c\nw1,\"W \"\"x\"\",T\nw2,W,T\n").unwrap());
    let reject = found[0].as_ref().unwrap_err();
    assert_eq!(reject.cells, ["w1", "\"W \"\"x\"\"", "T"], "the line as it was written, cell by cell");
    assert!(reject.fault.sentence.contains("on line 2"), "{}", reject.fault.sentence);
    // Quotes that span lines and end with their cell are a pair, also where blanks follow.
    let found = all(open(b"a,b,c\n1,\"x\ny\" ,\"z\n\"\n2,b,c\n").unwrap());
    assert_eq!(taken(&found), [["1", "x\ny ", "z\n"], ["2", "b", "c"]]);
}

#[test]
fn a_quote_that_opens_in_a_long_file_costs_no_more_than_its_line() {
    let mut text = b"name,note\nAda,\"open\n".to_vec();
    text.extend((0..40_000).flat_map(|n| format!("Firm {n},short\n").into_bytes()));
    let found = all(open(&text).unwrap());
    assert_eq!(faults(&found), [(2, "note", "IMPORT_QUOTE")]);
    assert_eq!(found.len(), 40_001);
    assert_eq!(found[40_000].as_ref().unwrap().line, 40_002);
    // What cannot be read twice says so, and is not taken for a file that ends here.
    let mut rows = CsvRows::open(Path::new("a.csv"), Once(Cursor::new(text)), b',', Limits::default()).unwrap();
    assert_eq!(rows.next_row().unwrap_err().code(), "IMPORT_IO");
}

#[test]
fn a_header_whose_quote_has_no_partner_is_refused_whole() {
    let error = open(b"email,\"name\nv1,V\nv2,V\n").err().unwrap();
    assert_eq!(error.code(), "IMPORT_QUOTE");
    assert!(error.to_string().contains("line 1"), "{error}");
    assert_eq!(open(b"email,\"Full\nname\"\n").unwrap().header(), ["email", "Full\nname"]);
}

#[test]
fn a_cell_that_is_too_large_says_to_which_line_it_goes() {
    let text = format!("a,b\n1,\"{}\",2\n3,4\n", "x\n".repeat(40_000));
    let found = all(open(text.as_bytes()).unwrap());
    assert_eq!(faults(&found), [(2, "b", "IMPORT_CELL_TOO_LARGE")]);
    let sentence = &found[0].as_ref().unwrap_err().fault.sentence;
    assert!(sentence.contains("to line 40002"), "{sentence}");
    assert_eq!(found[1].as_ref().unwrap().line, 40_003);
}

#[test]
fn a_line_break_is_taken_where_a_value_may_have_several_lines() {
    let yaml = "fields: {name: n, tags: {column: t, split: \"\\n\"}}\ncustom: {story: s}";
    let bound = bind(yaml, &["n", "t", "s", "unread"]).unwrap();
    let fields = bound.apply(&row(&["Acme\n", "a\nb", "two\nlines", "x\ny"])).unwrap();
    assert_eq!((fields.text("name"), fields.text("custom.story")), (Some("Acme"), Some("two\nlines")));
    assert_eq!(fields.all("tags"), ["a", "b"]);
    let fault = bound.apply(&row(&["W,T\nw2,W", "", "", ""])).unwrap_err();
    assert_eq!((fault.column.as_str(), fault.code.as_str()), ("n", "IMPORT_LINE_BREAK"));
    assert!(fault.sentence.contains("2 lines") && fault.sentence.contains("unpaired quote"), "{}", fault.sentence);
}

#[test]
fn a_reject_file_is_written_in_the_form_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("in.csv");
    let text = "\u{FEFF}name;note\nAda;\"open\nBob;\"a;b\";c\n";
    let rows = CsvRows::open(&source, Cursor::new(text), b';', Limits::default()).unwrap();
    let form = rows.form();
    assert_eq!(form, Form { delimiter: b';', mark: true });
    let mut rejects = Rejects::of(&source, rows.header(), form);
    for row in all(rows) {
        rejects.push(&row.unwrap_err()).unwrap();
    }
    let path = rejects.finish().unwrap().unwrap();
    let read = |text: &str| all(CsvRows::open(&path, Cursor::new(text.to_owned()), b';', Limits::default()).unwrap());
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.starts_with("\u{FEFF}line;column;code;sentence;name;note\n2;note;IMPORT_QUOTE;"), "{written}");
    // What nobody corrected is rejected again, for the same reason.
    assert_eq!(faults(&read(&written)), [(2, "note", "IMPORT_QUOTE"), (3, "", "IMPORT_CELL_COUNT")]);
    let corrected = written.replace("\"\"\"open\"", "open").replace(";c\n", "\n");
    assert_eq!(taken(&read(&corrected)), [["Ada", "open"], ["Bob", "a;b"]]);
}

#[test]
fn a_row_of_a_reject_file_that_nobody_corrected_is_not_taken() {
    let long = format!("{}...", "x".repeat(200));
    let text = format!(
        "line,column,code,sentence,name\n2,name,IMPORT_ENCODING,s,Caf\u{FFFD}\n3,name,IMPORT_CELL_TOO_LARGE,s,{long}\n\
         4,name,TAXONOMY_UNKNOWN_TERM,s,Caf\u{FFFD}\n5,name,IMPORT_QUOTE,s,\"say \"\"x\"\"\"\n"
    );
    let found = all(open(text.as_bytes()).unwrap());
    assert_eq!(faults(&found), [(2, "name", "IMPORT_ENCODING"), (3, "name", "IMPORT_CELL_TOO_LARGE")]);
    assert_eq!(taken(&found).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_writer_of_csv_wrote_is_read_as_it_was(
        rows in prop::collection::vec(prop::collection::vec("[a\",;\n\r é]{0,6}", 3), 1..8),
        crlf in any::<bool>(),
    ) {
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut out = csv::WriterBuilder::new().terminator(end).from_writer(Vec::new());
        out.write_record(["x", "y", "z"]).unwrap();
        for row in &rows {
            out.write_record(row).unwrap();
        }
        let found = all(open(&out.into_inner().unwrap()).unwrap());
        prop_assert_eq!(taken(&found), rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn whatever_a_file_holds_it_is_read_as_usual_but_for_quotes_without_partners(text in "[a\",\n\r ]{0,40}") {
        let text = format!("x,y\n{text}");
        let found = all(open(text.as_bytes()).unwrap());
        let lines = lines(&found);
        prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "{lines:?}");
        if found.iter().all(|row| row.as_ref().map_or_else(|reject| reject.fault.code != "IMPORT_QUOTE", |_| true)) {
            let mut usual = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
            let usual: Vec<Vec<String>> =
                usual.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            let cells = |row: &Result<Record, Reject>| {
                row.as_ref().map_or_else(|reject| reject.cells.clone(), |record| record.cells.clone())
            };
            prop_assert_eq!(found.iter().map(cells).collect::<Vec<_>>(), usual);
        }
    }

    #[test]
    fn a_stray_quote_in_lines_without_quotes_costs_one_row(lines in 1usize..30, at in 0usize..30, cell in 0usize..3) {
        let at = at % lines;
        let mut text = "x,y,z\n".to_owned();
        for line in 0..lines {
            let mut cells = [format!("a{line}"), "b".to_owned(), "c".to_owned()];
            if line == at {
                cells[cell].insert(0, '"');
            }
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        let found = all(open(text.as_bytes()).unwrap());
        prop_assert_eq!(found.len(), lines);
        prop_assert_eq!(faults(&found), [(at as u64 + 2, ["x", "y", "z"][cell], "IMPORT_QUOTE")]);
    }
}
