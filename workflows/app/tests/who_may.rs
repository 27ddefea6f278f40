//! Who may do what, as a table: `docs/reference/who-may.md` is this test's expectation.
//!
//! `TANDEM_BLESS=1` writes the table; a change of it then shows in review.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::path::Path;
use tandem_app::Actor;
use tandem_app::actor::RULES;
use tandem_domain::access::{Role, Scope};
use tandem_domain::id::UserId;

const HEAD: &str = "# Who may do what\n\n\
A row is a command, which is also the name of its mutation where it has one; a column is the role of the token. What \
depends on the thing at hand (only the holder of a claim may finish it, only the person offered may accept) is refused by \
the domain on top of this. Tandem's own timers may run every command, and commands that are not listed are theirs alone.\n\n\
Reading changes nothing, and every query is open to every role and to a token of the scope READ, unless its \
description in the schema names others: validations, previews and simulations, which show the data of people, are \
queries. SALES_OPS and ADMIN alone see jobs, webhooks, channels and senders of events; ADMIN alone sees tokens, and \
verifies the ledger.\n\n\
The mutation `enrollmentCreateMany` runs `enrollmentCreate` for each subject, and needs what that needs.\n\n";

fn actor(role: Role) -> Actor {
    Actor::user(UserId(Default::default()), role, None)
}

fn table() -> String {
    let mut text = HEAD.to_owned();
    let roles = Role::ALL.iter().map(|role| format!(" {role} |")).collect::<String>();
    writeln!(text, "| command |{roles}\n|---|{}", "---|".repeat(Role::ALL.len())).unwrap();
    let mut commands: Vec<_> = RULES.iter().map(|(name, _)| *name).collect();
    commands.sort_unstable();
    for command in commands {
        let cells = Role::ALL.iter().map(|role| if actor(*role).may(command).is_ok() { " yes |" } else { " |" });
        writeln!(text, "| `{command}` |{}", cells.collect::<String>()).unwrap();
    }
    text
}

#[test]
fn who_may_is_what_the_reference_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/who-may.md");
    if std::env::var_os("TANDEM_BLESS").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(table(), written, "run with TANDEM_BLESS=1 to write the table anew");
}

#[test]
fn a_command_without_a_rule_is_nobodys_and_a_token_to_read_changes_nothing() {
    for role in Role::ALL {
        assert_eq!(actor(*role).may("noSuchCommand").unwrap_err().code(), "FORBIDDEN");
        for (command, _) in RULES {
            let reader = Actor { scopes: [Scope::Read].into(), ..actor(*role) };
            assert_eq!(reader.may(command).unwrap_err().code(), "FORBIDDEN");
        }
    }
    assert!(Actor::system().may("noSuchCommand").is_ok());
}

#[test]
fn every_rule_is_given_once() {
    for (position, (name, _)) in RULES.iter().enumerate() {
        assert!(!RULES[..position].iter().any(|(earlier, _)| earlier == name), "{name} is there twice");
    }
}
