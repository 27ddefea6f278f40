//! The schema as a whole.

use std::path::Path;
use tandem_app::actor::roles_for;

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema.graphql");
    let committed = std::fs::read_to_string(path).unwrap();
    // Compared as a whole, but shown by the first difference: the file is long.
    let served = tandem_api::sdl();
    for (number, (committed, served)) in committed.lines().zip(served.lines()).enumerate() {
        assert_eq!(committed, served, "line {} of schema.graphql; run `just schema`", number + 1);
    }
    assert_eq!(committed.trim_end(), served.trim_end(), "run `just schema`");
}

#[test]
fn every_mutation_is_a_command_that_somebody_may_run() {
    let sdl = tandem_api::sdl();
    let mutations = sdl.split("type Mutation {").nth(1).unwrap().split("\n}").next().unwrap();
    let mut found = 0;
    for line in mutations.lines() {
        let Some((name, _)) = line.trim().split_once('(') else { continue };
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.contains(' ') {
            continue;
        }
        // A mutation for many rows may run the command for one of them.
        let listed = [name, name.trim_end_matches("Many")].iter().any(|name| !roles_for(name).is_empty());
        assert!(listed, "{name} has no row in the table of who may");
        assert!(line.contains("Payload!"), "{name} gives no payload");
        found += 1;
    }
    assert!(found > 40, "{found} mutations were found");
}
