//! The shipped programmes: each breaks no rule and needs no advice, speaks English and Chinese, and does what is expected for
//! people who answer, who do not, who book a meeting.
//!
//! What is expected stands in `fixtures/library`: a plan for each programme, subject and locale. After a change of a programme,
//! `TANDEM_BLESS=1 cargo test -p tandem-domain --test library_sequences` writes them anew: read them before you commit them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "library_sequences/drive.rs"]
mod drive;
#[path = "library_sequences/subjects.rs"]
mod subjects;

use drive::{ENGLISH, Ran, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use tandem_domain::email_template::Library;
use tandem_domain::sequence::definition::Definition;
use tandem_domain::sequence::enrollment::EnrollmentState;
use tandem_domain::sequence::library::{PROGRAMMES, Programme};
use tandem_domain::sequence::lint;
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::steps::send_email::EmailParts;
use tandem_domain::sequence::validate;

fn definition(programme: &Programme) -> Definition {
    validate::read(programme.source).unwrap_or_else(|problems| panic!("{}: {problems:#?}", programme.key))
}

/// Every e-mail of a programme with its step: the English one, and the Chinese.
fn letters(definition: &Definition) -> Vec<(&str, &EmailParts, Option<&EmailParts>)> {
    let letter = |step: &'_ tandem_domain::sequence::Step| matches!(step.kind, StepKind::SendEmail(_));
    let of = definition.steps.iter().filter(|step| letter(step)).map(|step| match &step.kind {
        StepKind::SendEmail(email) => (step.id.as_str(), &email.template, email.languages.get("zh")),
        _ => unreachable!(),
    });
    of.collect()
}

fn parts(template: &EmailParts) -> impl Iterator<Item = &str> {
    [template.subject.as_str(), template.text.as_str()].into_iter().chain(template.html.as_deref())
}

/// The variables that a text reads, as they are written, without what is said where there is none.
fn placeholders(template: &EmailParts) -> BTreeSet<String> {
    let inside = |text: &str, open: &str, close: &str| -> Vec<String> {
        text.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0.to_owned())).collect()
    };
    let values = parts(template).flat_map(|text| inside(text, "{{", "}}"));
    values.map(|value| value.split('|').next().unwrap_or_default().trim().to_owned()).collect()
}

fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[test]
fn each_breaks_no_rule_and_needs_no_advice() {
    assert_eq!(PROGRAMMES.len(), 11, "ten, and a small one to begin with");
    for programme in PROGRAMMES {
        let definition = definition(programme);
        assert_eq!(definition.header.key, programme.key);
        assert_eq!(lint::advice(programme.source, &Library::closed()), [], "{}", programme.key);
    }
}

#[test]
fn they_are_one_set() {
    let mut priorities = BTreeSet::new();
    for programme in PROGRAMMES {
        let header = definition(programme).header;
        assert_eq!(header.exclusive.as_deref(), Some("outreach"), "{}", programme.key);
        assert!(priorities.insert(header.priority), "{}: two of the same priority are a matter of luck", programme.key);
        assert!(header.reentry.after.is_some(), "{}: nobody comes in again at once", programme.key);
        if programme.key != "welcome" {
            assert!(header.send_window.is_some() && !header.triggers.is_empty(), "{}", programme.key);
        }
    }
}

#[test]
fn each_kind_of_step_and_trigger_that_they_are_for_is_among_them() {
    let all: Vec<Definition> = PROGRAMMES.iter().map(definition).collect();
    let kinds: BTreeSet<&str> = all.iter().flat_map(|one| &one.steps).map(|step| step.kind.name()).collect();
    for kind in
        ["split", "hand_to_sdr", "propose", "tag", "notify", "wait_for", "create_task", "call_webhook", "set_field"]
    {
        assert!(kinds.contains(kind), "{kind}");
    }
    let triggers: BTreeSet<&str> =
        all.iter().flat_map(|one| &one.header.triggers).map(|trigger| trigger.kind.name()).collect();
    assert_eq!(triggers, ["date", "event", "field", "list", "return", "segment"].into());
}

#[test]
fn each_email_is_written_in_chinese_too_and_says_the_same() {
    for programme in PROGRAMMES {
        let definition = definition(programme);
        let letters = letters(&definition);
        assert!(!letters.is_empty(), "{}", programme.key);
        for (step, english, chinese) in letters {
            let place = format!("{}: {step}", programme.key);
            let chinese = chinese.unwrap_or_else(|| panic!("{place} has no Chinese text"));
            assert_eq!(placeholders(english), placeholders(chinese), "{place}");
            assert_eq!(english.html.is_some(), chinese.html.is_some(), "{place}");
            for (english, chinese) in parts(english).zip(parts(chinese)) {
                let count = chinese.chars().filter(|c| is_chinese(*c)).count();
                assert!(count >= 4, "{place}: {chinese}");
                assert!(!english.contains(is_chinese), "{place}: {english}");
            }
        }
    }
}

/// Everybody who runs through a programme, in English and in Chinese. Worked out once.
fn plans(programme: &Programme) -> &'static [Ran] {
    static PLANS: LazyLock<BTreeMap<&str, Vec<Ran>>> = LazyLock::new(|| {
        let of = |programme: &'static Programme| {
            let subjects = subjects::of(programme.key);
            let both = subjects.iter().flat_map(|subject| drive::LOCALES.map(|locale| run(programme, subject, locale)));
            (programme.key, both.collect())
        };
        PROGRAMMES.iter().map(of).collect()
    });
    &PLANS[programme.key]
}

#[test]
fn each_does_what_is_expected_of_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/library");
    for programme in PROGRAMMES {
        let mut said = String::new();
        for ran in plans(programme) {
            writeln!(said, "== {} ({})", ran.subject, ran.locale).unwrap();
            for line in &ran.lines {
                writeln!(said, "{line}").unwrap();
            }
            writeln!(said).unwrap();
        }
        let expected = folder.join(format!("{}.txt", programme.key));
        if std::env::var_os("TANDEM_BLESS").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap();
        let differs = said.lines().zip(expected.lines()).find(|(said, expected)| said != expected);
        assert_eq!(differs, None, "{}: said, and expected", programme.key);
        assert_eq!(said.lines().count(), expected.lines().count(), "{}", programme.key);
    }
}

#[test]
fn every_run_comes_to_an_end_that_is_none_of_failure_and_is_written_to_in_its_language() {
    for programme in PROGRAMMES {
        for ran in plans(programme) {
            let place = format!("{}: {} ({})", programme.key, ran.subject, ran.locale);
            assert!(!ran.state.is_live(), "{place}: {:#?}", ran.lines);
            assert_ne!(ran.state, EnrollmentState::Failed, "{place}: {:#?}", ran.lines);
            for email in &ran.emails {
                let in_chinese = email.text.contains(is_chinese);
                assert_eq!(in_chinese, ran.locale != ENGLISH.locale, "{place}: {}", email.text);
                assert!(
                    email.transactional || email.text.contains("https://example.com/u/"),
                    "{place}: {}",
                    email.text
                );
                assert!(!email.text.contains("{{") && !email.text.contains("{%"), "{place}: {}", email.text);
            }
        }
    }
}

#[test]
fn every_step_is_taken_by_somebody() {
    for programme in PROGRAMMES {
        let taken: BTreeSet<String> = plans(programme).iter().flat_map(|ran| ran.taken.clone()).collect();
        let definition = definition(programme);
        // Where handing over is the goal, the run is over before it comes to its end.
        let steps = definition.steps.iter().filter(|step| !step.kind.ends());
        let missing: Vec<&str> = steps.map(|step| step.id.as_str()).filter(|id| !taken.contains(*id)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "{}", programme.key);
    }
}

#[test]
fn nobody_is_written_to_outside_of_the_hours() {
    for programme in PROGRAMMES {
        let definition = definition(programme);
        let Some(window) = &definition.header.send_window else { continue };
        for ran in plans(programme) {
            for email in ran.emails.iter().filter(|email| !email.transactional) {
                assert!(window.is_open(email.at, ran.zone, None), "{}: {} at {}", programme.key, email.step, email.at);
            }
        }
    }
}
