//! Laws of imports: a bad row is named and loses no good one, nothing is half-written, and a second run writes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use std::fs;
use std::path::{Path, PathBuf};
use tandem_app::custom_fields::CustomFieldDefine;
use tandem_app::import::{ImportError, Job, Mapping, Silent, Summary};
use tandem_domain::access::User;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_store::Page;
use tandem_testkit::{World, on_both_databases};
use tempfile::TempDir;

/// What is imported.
#[derive(Clone, Copy)]
enum What {
    Accounts,
    Contacts,
    Leads,
    History,
}

async fn run(world: &World, what: What, job: &Job) -> Result<Summary, ImportError> {
    let (app, call) = (&world.app, &world.system());
    match what {
        What::Accounts => app.import_accounts(call, job, &Silent).await,
        What::Contacts => app.import_contacts(call, job, &Silent).await,
        What::Leads => app.import_leads(call, job, &Silent).await,
        What::History => app.import_history(call, job, &Silent).await,
    }
}

/// Adds the tiers, industries and territories that come with Tandem.
async fn words(world: &World) {
    world.app.run(&world.system(), tandem_app::taxonomy::TaxonomyLibraryInstall).await.unwrap();
}

/// A file in a folder of its own.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Line, column and code of each reject.
fn rejects(source: &Path) -> Vec<(u64, String, String)> {
    let mut name = source.as_os_str().to_owned();
    name.push(".rejects.csv");
    let Ok(text) = fs::read_to_string(PathBuf::from(name)) else { return Vec::new() };
    let delimiter = text.as_bytes()[4];
    let mut rows = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let cells = rows.records().map(Result::unwrap);
    cells.map(|cells| (cells[0].parse().unwrap(), cells[1].to_owned(), cells[2].to_owned())).collect()
}

/// The reject file of `source`.
fn reject_file(source: &Path) -> PathBuf {
    tandem_app::import::rejects::Rejects::path_of(source)
}

/// Defines a custom field.
async fn field(world: &World, entity: Entity, key: &str, kind: Kind, required: bool) {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind, choices: Vec::new(), required };
    world.app.run(&world.system(), command).await.unwrap();
}

/// The code blocks of the guide in a language, in their order.
fn blocks(language: &str) -> Vec<String> {
    let guide = include_str!("../../../docs/guides/import.md").split("\n```");
    let blocks = guide.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    blocks.map(|block| format!("{block}\n")).collect()
}

fn expect(rejects: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
    rejects.iter().map(|(line, column, code)| (*line, (*column).to_owned(), (*code).to_owned())).collect()
}

const fn counts(summary: &Summary) -> [u64; 5] {
    [summary.rows, summary.created, summary.changed, summary.unchanged, summary.rejected]
}

on_both_databases! {
    async fn every_bad_row_is_named_and_the_good_ones_stand(world: World) {
        words(&world).await;
        let mut text = b"name,domains,tier,country\nExample,example.com,T1,US\n".to_vec();
        text.extend(b"Caf\xE9,cafe.example,T1,FR\n");
        text.extend(format!("Huge,{},,\n", "x".repeat(10 * 1024 * 1024)).bytes());
        text.extend(b"Gold,gold.example,Gold,US\nShort,short.example\nNowhere,not a domain,T1,US\nSecond,second.example,t2,US\n");
        let (_folder, path) = file("accounts.csv", text);
        let summary = run(&world, What::Accounts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [7, 2, 0, 0, 5]);
        assert_eq!(rejects(&path), expect(&[
            (3, "name", "IMPORT_ENCODING"),
            (4, "domains", "IMPORT_CELL_TOO_LARGE"),
            (5, "tier", "TAXONOMY_UNKNOWN_TERM"),
            (6, "", "IMPORT_CELL_COUNT"),
            (7, "domains", "DOMAIN_INVALID"),
        ]));
        let entries = world.ledger().await.len();
        assert_eq!(world.ledger_kinds().await.iter().filter(|kind| *kind == "account.created").count(), 2);
        let again = run(&world, What::Accounts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&again), [7, 0, 0, 2, 5]);
        assert_eq!(world.ledger().await.len(), entries, "a second run writes nothing");
    }

    async fn a_file_that_is_wrong_as_a_whole_writes_nothing(world: World) {
        let before = world.ledger().await.len();
        let mapping = "fields: {name: Company, domains: Website}";
        for (text, mapping, code) in [
            (&b"domains\nexample.com\n"[..], None, "IMPORT_HEADER_MISSING"),
            (b"Company\nExample\n", Some(mapping), "IMPORT_HEADER_MISSING"),
            (b"", None, "IMPORT_FILE_EMPTY"),
            (b"name,colour\nExample,red\n", None, "IMPORT_COLUMN_UNKNOWN"),
            (b"\xFF\xFEn\0a\0m\0e\0", None, "IMPORT_ENCODING"),
            (b"na\xE9me\nExample\n", None, "IMPORT_ENCODING"),
            (b"name,Name\nExample,Example\n", None, "IMPORT_HEADER_DUPLICATE"),
        ] {
            let (_folder, path) = file("accounts.csv", text);
            let mut job = Job::new(&path);
            job.mapping = mapping.map(|yaml| Mapping::parse(yaml).unwrap());
            let error = run(&world, What::Accounts, &job).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(rejects(&path).is_empty());
        }
        let error = run(&world, What::Accounts, &Job::new("/nowhere/at/all.csv")).await.unwrap_err();
        assert_eq!(error.code(), "IMPORT_IO");
        assert_eq!(world.ledger().await.len(), before);
    }

    async fn a_dry_run_finds_the_same_faults_and_stores_nothing(world: World) {
        words(&world).await;
        let (_folder, path) = file("accounts.csv", "name,tier\nExample,T1\nGold,Gold\n");
        let before = world.ledger().await.len();
        let summary = run(&world, What::Accounts, &Job::new(&path).dry(true)).await.unwrap();
        assert_eq!((counts(&summary), summary.dry_run), ([2, 1, 0, 0, 1], true));
        assert_eq!(rejects(&path), expect(&[(3, "tier", "TAXONOMY_UNKNOWN_TERM")]));
        assert_eq!(world.ledger().await.len(), before);
    }

    async fn contacts_find_their_accounts_and_bad_addresses_are_named(world: World) {
        let (_folder, accounts) = file("accounts.csv", "name,domains\nExample,example.com\n");
        run(&world, What::Accounts, &Job::new(&accounts)).await.unwrap();
        let text = "Mail;Nom;Firm;Tel\nada@example.com;Ada;;\nnot an address;Bob;;\nEVE@Example.com;Eve;Example;unknown\n\
                    joe@example.org;Joe;Nobody Ltd;\n";
        let (_folder, path) = file("contacts.csv", text);
        let mapping = "kind: contacts\ndelimiter: ';'\nempty: [unknown]\nphone_region: DE\n\
                       fields: {email: Mail, name: Nom, account: Firm, phone: Tel, consent: {constant: granted}, \
                       consentSource: {constant: fair}, consentAt: {constant: '2026-01-05T09:00:00Z'}}";
        let job = Job::new(&path).mapped(Mapping::parse(mapping).unwrap());
        let summary = run(&world, What::Contacts, &job).await.unwrap();
        assert_eq!(counts(&summary), [4, 2, 0, 0, 2], "{:?}", rejects(&path));
        assert_eq!(rejects(&path), expect(&[(3, "Mail", "EMAIL_INVALID"), (5, "Firm", "CONTACT_ACCOUNT_UNKNOWN")]));
        let entries = world.ledger().await.len();
        world.clock.advance(TimeDelta::hours(1));
        let again = run(&world, What::Contacts, &job).await.unwrap();
        assert_eq!(counts(&again), [4, 0, 0, 2, 2]);
        assert_eq!(world.ledger().await.len(), entries);
    }

    async fn an_unpaired_quote_loses_no_good_row(world: World) {
        let text = "email,name,title\nv1@acme.example,V,\"CEO\nv2@acme.example,V,T\nv3@acme.example,V,T\n";
        let (_folder, path) = file("q.csv", text);
        let summary = run(&world, What::Contacts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [3, 2, 0, 0, 1]);
        assert_eq!(rejects(&path), expect(&[(2, "title", "IMPORT_QUOTE")]));

        let text = "email,name,title\nw1@acme.example,\"W,T\nw2@acme.example,\"W,T\nw3@acme.example,W,T\n";
        let (_folder, path) = file("w.csv", text);
        let summary = run(&world, What::Contacts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [3, 1, 0, 0, 2]);
        assert_eq!(rejects(&path), expect(&[(2, "name", "IMPORT_QUOTE"), (3, "name", "IMPORT_QUOTE")]));

        // Corrected, the reject file is the file; as it is, it is refused again.
        let rejected = reject_file(&path);
        let before = world.ledger().await.len();
        let again = run(&world, What::Contacts, &Job::new(&rejected)).await.unwrap();
        assert_eq!(counts(&again), [2, 0, 0, 0, 2]);
        assert_eq!(world.ledger().await.len(), before, "nothing of it was stored");
        let corrected = fs::read_to_string(&rejected).unwrap().replace("\"\"\"W\"", "W");
        fs::write(&rejected, corrected).unwrap();
        let again = run(&world, What::Contacts, &Job::new(&rejected)).await.unwrap();
        assert_eq!(counts(&again), [2, 2, 0, 0, 0]);
        assert_eq!(rejects(&rejected), []);
    }

    async fn lines_that_two_stray_quotes_swallow_are_in_the_reject_file(world: World) {
        let text = "email,name,title\n\nw1@acme.example,\"W,T\nw2@acme.example,W\",T\nw3@acme.example,W,T\n";
        let (_folder, path) = file("w.csv", text);
        let summary = run(&world, What::Contacts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [2, 1, 0, 0, 1]);
        assert_eq!(rejects(&path), expect(&[(3, "name", "IMPORT_LINE_BREAK")]));
        let kept = fs::read_to_string(reject_file(&path)).unwrap();
        assert!(kept.contains("w1@acme.example,\"W,T\nw2@acme.example,W\",T\n"), "{kept}");
    }

    async fn rejects_of_a_mapped_file_are_imported_by_the_same_mapping(world: World) {
        let (_folder, path) = file("contacts.csv", "Mail;Nom\nada@example.com;Ada\nno address;\"Bob; the second\"\n");
        let mapping = Mapping::parse("delimiter: ';'\nfields: {email: Mail, name: Nom}").unwrap();
        let summary = run(&world, What::Contacts, &Job::new(&path).mapped(mapping.clone())).await.unwrap();
        assert_eq!(counts(&summary), [2, 1, 0, 0, 1]);
        let rejected = reject_file(&path);
        let corrected = fs::read_to_string(&rejected).unwrap().replace(";no address;", ";bob@example.com;");
        fs::write(&rejected, corrected).unwrap();
        let again = run(&world, What::Contacts, &Job::new(&rejected).mapped(mapping)).await.unwrap();
        assert_eq!(counts(&again), [1, 1, 0, 0, 0], "{:?}", rejects(&rejected));
    }

    async fn a_custom_field_at_fault_is_named_by_its_column(world: World) {
        field(&world, Entity::Contact, "seats", Kind::Number, false).await;
        let mapping = "fields: {email: Mail}\ncustom: {region: Area, seats: Chairs}";
        let text = "Mail,Area,Chairs\na@example.com,north,1\nb@example.com,,many\nc@example.com,,3\n";
        let (_folder, path) = file("contacts.csv", text);
        let job = Job::new(&path).mapped(Mapping::parse(mapping).unwrap());
        assert_eq!(counts(&run(&world, What::Contacts, &job).await.unwrap()), [3, 1, 0, 0, 2]);
        assert_eq!(rejects(&path), expect(&[
            (2, "Area", "CUSTOM_FIELD_UNKNOWN"),
            (3, "Chairs", "CUSTOM_FIELD_WRONG_KIND"),
        ]));
        let text = fs::read_to_string(reject_file(&path)).unwrap();
        assert!(text.contains("`customFieldDefine`"), "the sentence says how to define it: {text}");

        let (_folder, path) = file("leads.csv", "source,email,custom.region\nfair,x@example.com,north\n");
        run(&world, What::Leads, &Job::new(&path)).await.unwrap();
        assert_eq!(rejects(&path), expect(&[(2, "custom.region", "CUSTOM_FIELD_UNKNOWN")]));

        field(&world, Entity::Account, "plan", Kind::Text, true).await;
        let (_folder, path) = file("accounts.csv", "name,custom.plan\nExample,\n");
        run(&world, What::Accounts, &Job::new(&path)).await.unwrap();
        assert_eq!(rejects(&path), expect(&[(2, "custom.plan", "CUSTOM_FIELD_REQUIRED")]));
    }

    async fn the_guide_does_in_an_empty_database_what_it_says(world: World) {
        let (files, commands) = (blocks("csv"), blocks("sh"));
        let mapping = Mapping::parse(&blocks("yaml")[0]).unwrap();
        assert!(commands[0].contains(r#"customFieldDefine(input: {entity: CONTACT, key: \"region\", label: \"Region\", kind: TEXT})"#));
        field(&world, Entity::Contact, "region", Kind::Text, false).await;
        let (_folder, accounts) = file("accounts.csv", &files[0]);
        assert_eq!(counts(&run(&world, What::Accounts, &Job::new(&accounts)).await.unwrap()), [1, 1, 0, 0, 0]);
        let (_folder, contacts) = file("contacts.csv", &files[1]);
        let job = Job::new(&contacts).mapped(mapping.clone());
        let summary = run(&world, What::Contacts, &job).await.unwrap();
        assert_eq!(rejects(&contacts), expect(&[(4, "Opt-in", "IMPORT_VALUE_UNKNOWN")]));
        assert_eq!((counts(&summary), summary.unused_columns), ([3, 2, 0, 0, 1], Vec::<String>::new()));
        assert!(commands[2].contains("s/;perhaps;/;no;/"));
        let corrected = fs::read_to_string(reject_file(&contacts)).unwrap().replace(";perhaps;", ";no;");
        let (_folder, corrected) = file("corrected.csv", corrected);
        let summary = run(&world, What::Contacts, &Job::new(&corrected).mapped(mapping)).await.unwrap();
        assert_eq!(counts(&summary), [1, 1, 0, 0, 0], "{:?}", rejects(&corrected));
    }

    async fn leads_bring_their_people_and_come_in_once(world: World) {
        let text = "source,externalId,email,name,grade,priority\nWeb Form,1,ada@example.com,Ada,A1,80\n\
                    Web Form,,bob@example.com,Bob,,\nWeb Form,3,eve@example.com,Eve,Z9,\nWeb Form,4,,Joe,,\n\
                    fair,5,x@example.com,X,,300\n";
        let (_folder, path) = file("leads.csv", text);
        let summary = run(&world, What::Leads, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [5, 2, 0, 0, 3], "{:?}", rejects(&path));
        assert_eq!(rejects(&path), expect(&[
            (4, "grade", "LEAD_GRADE_INVALID"),
            (5, "email", "IMPORT_VALUE_MISSING"),
            (6, "priority", "LEAD_PRIORITY_OUT_OF_RANGE"),
        ]));
        let lead = world.app.store.lead_by_external_id("web_form", "1").await.unwrap().unwrap();
        assert_eq!(lead.priority, 80);
        let entries = world.ledger().await.len();
        let again = run(&world, What::Leads, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&again), [5, 0, 0, 2, 3]);
        assert_eq!(world.ledger().await.len(), entries);
    }

    async fn more_rows_than_one_transaction_takes_are_all_there(world: World) {
        let rows: String = (0..1_203).map(|n| format!("Firm {n},firm-{n}.example\n")).collect();
        let (_folder, path) = file("accounts.csv", format!("name,domains\n{rows}"));
        let summary = run(&world, What::Accounts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&summary), [1_203, 1_203, 0, 0, 0]);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
        let again = run(&world, What::Accounts, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&again), [1_203, 0, 0, 1_203, 0]);
    }

    async fn a_history_is_run_at_its_own_moments_and_impossible_events_are_named(world: World) {
        let events = r#"{"event":"won","at":"2025-05-09T09:00:00Z","lead":"A","amount":"1250.50","currency":"EUR"}
{"event":"lead_received","at":"2025-05-01T09:00:00Z","lead":"A","source":"Web Form","contact":{"email":"ada@example.com","name":"Ada"}}
{"event":"verified","at":"2025-05-02T09:00:00Z","lead":"A","sdr":"sdr-1"}
{"event":"dispatched","at":"2025-05-03T09:00:00Z","lead":"A","sdr":"sdr-1","rep":"rep-1"}
{"event":"accepted","at":"2025-05-04T09:00:00Z","lead":"A","rep":"rep-1"}
{"event":"returned","at":"2025-05-05T09:00:00Z","lead":"A","rep":"rep-1","reason":"BAD_TIMING"}
{"event":"dispatched","at":"2025-05-06T09:00:00Z","lead":"A","sdr":"sdr-1","rep":"rep-2"}
{"event":"accepted","at":"2025-05-07T09:00:00Z","lead":"A"}
{"event":"lead_received","at":"2025-05-01T09:00:00Z","lead":"B","source":"fair"}
{"event":"verified","at":"2025-04-30T09:00:00Z","lead":"B","sdr":"sdr-1"}
{"event":"verified","at":"2025-05-02T09:00:00Z","lead":"Z","sdr":"sdr-1"}
{"event":"won","at":"2025-05-03T09:00:00Z","lead":"B"}
{"event":"lead_received","at":"2025-05-01T09:00:00Z","lead":"C","source":"fair"}
{"event":"verified","at":"2025-05-02T09:00:00Z","lead":"C","sdr":"sdr-2"}
{"event":"dispatched","at":"2025-05-03T09:00:00Z","lead":"C","sdr":"sdr-2"}
{"event":"accepted","at":"2025-05-04T09:00:00Z","lead":"C","rep":"rep-1"}
{"event":"lost","at":"2025-05-05T09:00:00Z","lead":"C","rep":"rep-1","reason":"TOO_BLUE"}
{"event":"lost","at":"2025-05-06T09:00:00Z","lead":"C","rep":"rep-2","reason":"NO_NEED"}
{"event":"lost","at":"2025-05-07T09:00:00Z","lead":"C","rep":"rep-1","reason":"no need"}
{"event":"lead_received","at":"2031-05-01T09:00:00Z","lead":"D"}
{"event":"melted","at":"2025-05-01T09:00:00Z","lead":"D"}
not json
{"event":"won","at":"yesterday","lead":"D"}
{"event":"lead_received","at":"2025-05-01T09:00:00Z","lead":"E","contact":{"email":"nobody"}}
"#;
        let (_folder, path) = file("past.ndjson", events);
        let summary = run(&world, What::History, &Job::new(&path)).await.unwrap();
        assert_eq!(rejects(&path), expect(&[
            (10, "at", "HISTORY_BEFORE_LEAD"),
            (11, "lead", "HISTORY_LEAD_UNKNOWN"),
            (12, "event", "HISTORY_OUT_OF_ORDER"),
            (17, "reason", "UNKNOWN_CODE"),
            (18, "rep", "HISTORY_OTHER_PERSON"),
            (20, "at", "HISTORY_IN_FUTURE"),
            (21, "event", "HISTORY_EVENT_UNKNOWN"),
            (22, "", "IMPORT_JSON"),
            (23, "at", "IMPORT_DATE"),
            (24, "contactEmail", "EMAIL_INVALID"),
        ]));
        assert_eq!(counts(&summary), [24, 14, 0, 0, 10]);

        let ledger = world.ledger().await;
        let won = ledger.iter().find(|link| link.entry.kind == "lead.won").unwrap();
        assert_eq!(won.entry.at, 1_746_781_200_000, "it happened then");
        assert_eq!(won.entry.recorded_at, world.now().timestamp_millis(), "it was written down now");
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);

        let people = world.app.store.user_page(&Page::first(50)).await.unwrap().items;
        let imported = |user: &User| user.email.ends_with("@imported.invalid");
        assert!(people.iter().filter(|user| imported(user)).all(|user| !user.active), "nobody of the past may act");
        assert!(people.iter().any(|user| user.email == "rep-2@imported.invalid"));

        use tandem_app::reports::FunnelGroup;
        let funnel = world.app.funnel(FunnelGroup::Source, None, None).await.unwrap();
        let row = |label: &str| funnel.lines.iter().find(|line| line.label == label).unwrap().row.clone();
        let web = row("web form");
        // Dispatched twice, and counted once.
        assert_eq!([web.leads, web.verified, web.dispatched, web.accepted, web.won, web.lost, web.returned], [1, 1, 1, 1, 1, 0, 1]);
        let fair = row("fair");
        assert_eq!([fair.leads, fair.verified, fair.dispatched, fair.accepted, fair.won, fair.lost, fair.returned], [2, 1, 1, 1, 0, 1, 0]);
        let reps = world.app.funnel(FunnelGroup::SalesRep, None, None).await.unwrap();
        assert_eq!(reps.lines.iter().find(|line| line.label == "rep-2").unwrap().row.won, 1);
        let from = Some("2025-05-02T00:00:00Z".parse().unwrap());
        assert_eq!(world.app.funnel(FunnelGroup::Source, from, None).await.unwrap().total.leads, 0);
        world.app.funnel(FunnelGroup::Territory, None, None).await.unwrap();

        assert_eq!(world.pass(TimeDelta::days(300)).await, 0, "the past sets off nothing");
        let entries = world.ledger().await.len();
        let again = run(&world, What::History, &Job::new(&path)).await.unwrap();
        assert_eq!(counts(&again), [24, 0, 0, 14, 10]);
        assert_eq!(world.ledger().await.len(), entries);
    }

    async fn what_a_history_leaves_unfinished_is_taken_up_after_a_year(world: World) {
        let event = r#"{"event":"lead_received","at":"2025-05-01T09:00:00Z","lead":"A","source":"fair"}"#;
        let (_folder, path) = file("past.ndjson", event);
        run(&world, What::History, &Job::new(&path)).await.unwrap();
        let lead = world.app.store.lead_by_external_id("fair", "A").await.unwrap().unwrap();
        assert!(lead.due_at.unwrap() >= world.now() + TimeDelta::days(364));
        world.pass(TimeDelta::days(400)).await;
        let lead = world.app.store.lead_by_external_id("fair", "A").await.unwrap().unwrap();
        assert_ne!(lead.stage.as_str(), "RECEIVED", "a timer moved it");
    }

    async fn a_dry_run_of_a_history_sees_its_own_events_and_stores_nothing(world: World) {
        let events = "{\"event\":\"lead_received\",\"at\":\"2025-05-01T09:00:00Z\",\"lead\":\"A\"}\n\
                      {\"event\":\"verified\",\"at\":\"2025-05-02T09:00:00Z\",\"lead\":\"A\"}\n\
                      {\"event\":\"won\",\"at\":\"2025-05-02T09:00:00Z\",\"lead\":\"A\"}\n";
        let (_folder, path) = file("past.ndjson", events);
        let before = world.ledger().await.len();
        let summary = run(&world, What::History, &Job::new(&path).dry(true)).await.unwrap();
        assert_eq!(counts(&summary), [3, 2, 0, 0, 1]);
        assert_eq!(world.ledger().await.len(), before);
    }
}
