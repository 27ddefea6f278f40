//! `tandem schema`: prints the SDL. `schema.graphql` is this output, and a test holds the two equal.

use super::Outcome;
use std::io::Write;

/// Prints the schema; it needs neither configuration nor database.
pub(super) fn run() -> anyhow::Result<Outcome> {
    std::io::stdout().write_all(tandem_api::sdl().as_bytes())?;
    Ok(Outcome::Done)
}
