//! Definitions that are broken in one way each: every error names line and column, what is wrong, and the likely fix.
//!
//! What is expected stands beside the files, in `expected.txt`: name, line, column, rule, message. After a change of words,
//! `TANDEM_BLESS=1 cargo test -p tandem-domain --test broken_sequences` writes it anew: read it before you commit it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use tandem_domain::sequence::validate::read;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/broken_sequences")
}

fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn each_names_its_place_what_is_wrong_and_the_likely_fix() {
    let mut said = String::new();
    for name in names() {
        let source = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
        let problems = read(&source).expect_err(&name);
        for problem in problems {
            let (line, column) = (problem.line.expect(&name), problem.column.expect(&name));
            assert!(line >= 1 && line <= source.lines().count(), "{name}: line {line}");
            let width = source.lines().nth(line - 1).unwrap().chars().count();
            assert!(column >= 1 && column <= width + 1, "{name}: column {column} of {width}");
            writeln!(said, "{name} {line}:{column} {} {}", problem.rule, problem.message).unwrap();
        }
    }
    let expected = folder().join("expected.txt");
    if std::env::var_os("TANDEM_BLESS").is_some() {
        fs::write(&expected, &said).unwrap();
    }
    let expected = fs::read_to_string(expected).unwrap();
    let differs = said.lines().zip(expected.lines()).find(|(said, expected)| said != expected);
    assert_eq!(differs, None, "said, and expected");
    assert_eq!(said.lines().count(), expected.lines().count());
}

#[test]
fn there_are_thirty_and_each_breaks_something_else() {
    let text = fs::read_to_string(folder().join("expected.txt")).unwrap();
    let files: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(files.len() >= 30 && files.len() == names().len());
    // A sentence that leaves the reader alone: it ends where it says what is wrong.
    let alone = |line: &&str| ![";", "write "].iter().any(|fix| line.contains(fix));
    assert_eq!(text.lines().filter(alone).collect::<Vec<_>>(), Vec::<&str>::new());
}
