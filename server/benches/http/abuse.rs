//! Requests that are meant to hurt, beside an ordinary one.

use super::{Bench, Times, timed};
use serde_json::json;
use std::time::Instant;

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

fn doubling() -> String {
    let middle: String = (0..22).map(|n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1)).collect();
    format!("{{ ...F0 }} {middle} fragment F22 on Query {{ __typename }}")
}

/// Sends each case so often.
pub(super) async fn run(bench: &Bench, times: usize) {
    let deep = format!("{{ node(id: {}{}) {{ id }} }}", "[".repeat(1_600), "]".repeat(1_600));
    let aliases: String = (0..10_000).map(|n| format!("a{n}:__typename ")).collect();
    let large =
        json!({ "query": "query($id: ID!) { node(id: $id) { id } }", "variables": { "id": "A".repeat(3_000_000) } });
    let cases = [
        ("an ordinary request", body("{ viewer { email } }"), 200),
        ("22 doubling fragments", body(&doubling()), 400),
        ("a list of 1,600 lists", body(&deep), 400),
        ("10,000 aliases", body(&format!("{{ {aliases} }}")), 400),
        ("200 directives at a field", body(&format!("{{ __typename {} }}", "@skip(if: false)".repeat(200))), 400),
        ("a fragment in itself", body("{ ...A } fragment A on Query { ...A }"), 400),
        ("a variable of 3 MB", large.to_string(), 413),
    ];
    for (name, body, status) in cases {
        let (mut seen, began) = (Vec::with_capacity(times), Instant::now());
        for _ in 0..times {
            let (time, answered) = timed(bench.graphql(&body)).await;
            assert_eq!(answered, status, "{name}");
            seen.push(time);
        }
        Times(seen).show(name, began.elapsed());
    }
}
