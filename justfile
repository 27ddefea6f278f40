# Shortcuts. `just` alone lists them.

_list:
    @just --list --unsorted

# The server with development settings, on a database in the working folder.
run *ARGS:
    cargo run -- serve --config config/development.toml {{ ARGS }}

# The whole loop on real accounts, in a temporary folder; the server stays up.
demo *ARGS:
    cargo run --release -- demo {{ ARGS }}

# Jobs, queues, schedules and nodes of the database in the working folder: docs/guides/operate.md.
jobs *ARGS:
    cargo run -- jobs {{ ARGS }}

# All tests, on SQLite and PostgreSQL (started by the tests where it is installed).
test *ARGS:
    cargo test --workspace {{ ARGS }}

# Formatting, clippy and the dependency rules.
lint:
    .ci/run rules format lint

# Writes schema.graphql anew; a test holds it equal to what the binary prints.
schema:
    cargo run -- schema > schema.graphql.new && mv schema.graphql.new schema.graphql

# Writes docs/errors anew, and checks the Markdown and the API documentation.
docs:
    .ci/error-codes
    .ci/run docs

# Kill -9 at random moments of the demo's month, on both databases; takes long.
crash *ARGS:
    TANDEM_CRASH_KILLS=50 cargo test -p tandem-server --test crash -- --nocapture {{ ARGS }}

# Workers under load, killed, frozen and cut off a thousand times, on both databases; takes very long.
storm *ARGS:
    TANDEM_CRASH_BLOWS=1000 TANDEM_CRASH_PEOPLE=8000 TANDEM_CRASH_CONCURRENCY=4 cargo test -p tandem-server --test crash worker -- --nocapture --test-threads 1 {{ ARGS }}

# How fast jobs run, beside a bare loop on the same database in the same run.
bench *ARGS:
    cargo bench -p tandem-domain --bench pure --bench simulation
    cargo bench -p tandem-testkit --bench jobs -- {{ ARGS }}

# How fast requests are answered: abuse beside an ordinary one, and deliveries to a webhook.
bench-http *ARGS:
    cargo bench -p tandem-server --bench http -- {{ ARGS }}

# Everything that the build server runs.
ci:
    .ci/run
