//! `tandem sequence library`: the shipped programmes, to be read, adapted and applied.

use crate::commands::{Outcome, print};
use std::fmt::Write;
use tandem_domain::nearest::nearest;
use tandem_domain::sequence::library::{PROGRAMMES, programme};

/// Options of `tandem sequence library`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Library {
    /// The key of a programme, whose file is printed: `tandem sequence library no_show > no_show.yaml`. None: the list of them
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

/// Prints one, or the list with what each needs; it needs neither configuration nor database.
pub(in crate::commands) fn run(options: &Library) -> anyhow::Result<Outcome> {
    let Some(key) = &options.key else {
        let mut list = String::new();
        for programme in PROGRAMMES {
            writeln!(list, "{:<22}{}", programme.key, programme.summary())?;
            if let Some(needs) = programme.needs() {
                writeln!(list, "{:<22}needs {needs}", "")?;
            }
        }
        return print::put(&list);
    };
    let Some(found) = programme(key) else {
        let meant = nearest(key, PROGRAMMES.iter().map(|programme| programme.key).collect::<Vec<_>>());
        let hint = meant.map_or_else(
            || "`tandem sequence library` lists them".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        anyhow::bail!("there is no programme `{key}` in the library; {hint}");
    };
    print::put(found.source)
}
