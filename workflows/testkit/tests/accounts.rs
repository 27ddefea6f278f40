//! Accounts, contacts, custom fields and taxonomies, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tandem_app::{
    AccountChange, AccountCreate, AccountTag, AccountUpsert, AccountUpsertMany, App, AppError, ContactChange,
    ContactCreate, ContactRow, ContactSetConsent, ContactUpsert, ContactUpsertMany, CustomFieldChange,
    CustomFieldDefine, Outcome, RowResult, TaxonomyLibraryInstall, TaxonomyTermSave,
};
use tandem_domain::account::{Account, AccountPatch};
use tandem_domain::contact::{ConsentGiven, ConsentState, ContactPatch};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::id::global;
use tandem_domain::taxonomy::Taxonomy;
use tandem_store::Page;
use tandem_store::account::{AccountFilter, ContactFilter};
use tandem_testkit::{World, on_both_databases};

fn account(value: Value) -> AccountPatch {
    serde_json::from_value(value).unwrap()
}

fn contact(value: Value) -> ContactPatch {
    serde_json::from_value(value).unwrap()
}

fn refusal(result: &RowResult) -> &str {
    match result {
        RowResult::Refused(refusal) => &refusal.code,
        RowResult::Written { .. } => "",
    }
}

async fn make(world: &World, value: Value) -> Account {
    let command = AccountCreate { account: account(value) };
    world.app.run(&world.system(), command).await.unwrap().record
}

async fn names(app: &App, filter: AccountFilter) -> Vec<String> {
    let page = app.store.account_page(&filter, &Page::first(50)).await.unwrap();
    page.items.into_iter().map(|account| account.name).collect()
}

on_both_databases! {
    async fn an_account_is_made_once(world: World) {
        world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
        let first = make(&world, json!({"name": "Example, Inc.", "domains": ["https://www.example.com"], "tier": "tier 1"})).await;
        assert_eq!(world.app.store.find(first.id).await.unwrap(), Some(first.clone()));
        let again = AccountCreate { account: account(json!({"name": "Another", "domains": ["EXAMPLE.com."]})) };
        let refused = world.app.run(&world.system(), again).await.unwrap_err();
        assert_eq!(refused.code(), "ACCOUNT_DUPLICATE");
        assert!(refused.to_string().contains(&global("Account", first.id.into())), "{refused}");
        let by_name = AccountCreate { account: account(json!({"name": "EXAMPLE LLC"})) };
        assert_eq!(world.app.run(&world.system(), by_name).await.unwrap_err().code(), "ACCOUNT_DUPLICATE");
        assert_eq!(world.ledger_kinds().await.iter().filter(|kind| *kind == "account.created").count(), 1);
    }

    async fn of_two_accounts_made_at_once_with_one_domain_the_second_learns_of_the_first(world: World) {
        let racers = (0..6).map(|n| {
            let (app, call) = (world.app.clone(), world.system());
            let given = account(json!({"name": format!("Racer {n}"), "domains": ["example.com"]}));
            tokio::spawn(async move { app.run(&call, AccountCreate { account: given }).await })
        });
        let mut results = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            results.push(racer.await.unwrap());
        }
        let winner = results.iter().find_map(|result| result.as_ref().ok()).unwrap().record.id;
        let winner = global("Account", winner.into());
        let losers: Vec<&AppError> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(losers.len(), 5);
        for loser in losers {
            assert_eq!(loser.code(), "ACCOUNT_DUPLICATE");
            assert!(loser.to_string().contains(&winner), "{loser}");
        }
    }

    async fn of_contacts_made_at_once_with_one_phone_number_there_is_one(world: World) {
        let racers = (0..6).map(|_| {
            let (app, call) = (world.app.clone(), world.system());
            let row: ContactRow = contact(json!({"name": "Kim Example", "phone": "+49 30 901820"})).into();
            tokio::spawn(async move { app.run(&call, ContactUpsert { row, default_region: None }).await })
        });
        for racer in racers.collect::<Vec<_>>() {
            racer.await.unwrap().unwrap();
        }
        let all = world.app.store.contact_page(&ContactFilter::default(), &Page::first(10)).await.unwrap();
        assert_eq!(all.items.len(), 1);
    }

    async fn an_upsert_makes_changes_and_leaves_alone(world: World) {
        let run = |value: Value| {
            let (app, call) = (world.app.clone(), world.system());
            async move { app.run(&call, AccountUpsert { account: account(value) }).await.unwrap() }
        };
        let row = json!({"name": "Example", "registry_number": "66740", "country": "US", "external_ids": {"ticker": "EXM"}});
        let made = run(row.clone()).await;
        assert_eq!(made.outcome, Outcome::Created);
        let entries = world.ledger().await.len();
        assert_eq!(run(row).await.outcome, Outcome::Unchanged);
        assert_eq!(world.ledger().await.len(), entries);
        let changed = run(json!({"name": "Example", "domains": ["example.com"], "external_ids": {"ticker": "EXM"}})).await;
        assert_eq!((changed.outcome, changed.record.id), (Outcome::Changed, made.record.id));
        let by_domain = run(json!({"domains": ["example.com"], "tags": ["New"]})).await;
        assert_eq!((by_domain.outcome, by_domain.record.id), (Outcome::Changed, made.record.id));
        assert_eq!(world.ledger_kinds().await, ["account.created", "account.changed", "account.changed"]);
    }

    async fn a_name_is_a_key_until_there_is_a_better_one(world: World) {
        let run = |value: Value| {
            let (app, call) = (world.app.clone(), world.system());
            async move { app.run(&call, AccountUpsert { account: account(value) }).await.unwrap() }
        };
        let named = run(json!({"name": "Example"})).await.record;
        assert_eq!(run(json!({"name": "Example Ltd"})).await.record.id, named.id);
        let keyed = run(json!({"name": "Example", "domains": ["example.com"]})).await;
        assert_eq!((keyed.outcome, keyed.record.id), (Outcome::Changed, named.id));
        let other = run(json!({"name": "Example", "domains": ["example.org"]})).await;
        assert_eq!(other.outcome, Outcome::Created);
        let ambiguous = AccountUpsert { account: account(json!({"name": "Example"})) };
        assert_eq!(world.app.run(&world.system(), ambiguous).await.unwrap_err().code(), "ACCOUNT_NAME_AMBIGUOUS");
    }

    async fn a_bad_row_loses_no_good_one(world: World) {
        let rows = vec![
            account(json!({"name": "One", "domains": ["one.example.com"]})),
            account(json!({"name": "Two", "domains": ["not a domain"]})),
            account(json!({"name": "One again", "domains": ["one.example.com"], "tags": ["x"]})),
            account(json!({"domains": ["three.example.com"]})),
            account(json!({"name": "Four", "tier": "Gold"})),
            account(json!({"name": "Five"})),
        ];
        let command = AccountUpsertMany { rows: rows.clone() };
        let done = world.app.run(&world.system(), command).await.unwrap();
        let codes: Vec<&str> = done.rows.iter().map(refusal).collect();
        assert_eq!(codes, ["", "DOMAIN_INVALID", "", "ACCOUNT_NAME_MISSING", "TAXONOMY_UNKNOWN_TERM", ""]);
        assert_eq!(done.rows[0].id(), done.rows[2].id());
        assert_eq!(names(&world.app, AccountFilter::default()).await, ["One again", "Five"]);
        let too_many = AccountUpsertMany { rows: vec![rows[0].clone(); 501] };
        assert_eq!(world.app.run(&world.system(), too_many).await.unwrap_err().code(), "ROWS_TOO_MANY");
    }

    async fn the_same_rows_again_write_nothing(world: World) {
        let rows: Vec<AccountPatch> = (0..500)
            .map(|n| account(json!({"name": format!("Company {n}"), "domains": [format!("c{n}.example.com")], "tags": ["a"]})))
            .collect();
        let first = world.app.run(&world.system(), AccountUpsertMany { rows: rows.clone() }).await.unwrap();
        assert_eq!(first.changed.0.len(), 500);
        let again = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
        let unchanged = |row: &RowResult| matches!(row, RowResult::Written { outcome: Outcome::Unchanged, .. });
        assert!(again.rows.iter().all(unchanged));
        assert_eq!(first.rows.iter().map(RowResult::id).collect::<Vec<_>>(), again.rows.iter().map(RowResult::id).collect::<Vec<_>>());
        assert_eq!(world.ledger().await.len(), 500);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn imports_of_one_file_at_once_make_each_account_once(world: World) {
        let importers = (0..4).map(|n| {
            let (app, call) = (world.app.clone(), world.system());
            let mut rows: Vec<AccountPatch> = (0..60)
                .map(|n| account(json!({"name": format!("Company {n}"), "domains": [format!("c{n}.example.com")]})))
                .collect();
            rows.rotate_left(n * 15);
            tokio::spawn(async move { app.run(&call, AccountUpsertMany { rows }).await })
        });
        for importer in importers.collect::<Vec<_>>() {
            let done = importer.await.unwrap().unwrap();
            assert!(done.rows.iter().all(|row| row.id().is_some()));
        }
        assert_eq!(world.ledger_kinds().await, vec!["account.created"; 60]);
    }

    async fn a_key_that_was_given_up_can_be_taken(world: World) {
        let one = make(&world, json!({"name": "One", "domains": ["example.com", "example.org"]})).await;
        let two = make(&world, json!({"name": "Two", "domains": ["example.net"]})).await;
        let change = |id, value: Value| AccountChange { id, account: account(value) };
        let refused = world.app.run(&world.system(), change(two.id, json!({"domains": ["example.org"]}))).await.unwrap_err();
        assert_eq!(refused.code(), "ACCOUNT_DUPLICATE");
        world.app.run(&world.system(), change(one.id, json!({"domains": ["example.com"]}))).await.unwrap();
        let moved = world.app.run(&world.system(), change(two.id, json!({"domains": ["example.org"]}))).await.unwrap();
        assert_eq!(moved.outcome, Outcome::Changed);
        let filter = AccountFilter { domain: Some("example.org".to_owned()), ..AccountFilter::default() };
        assert_eq!(names(&world.app, filter).await, ["Two"]);
    }

    async fn a_key_that_comes_about_by_a_change_is_checked_too(world: World) {
        make(&world, json!({"name": "One", "registry_number": "1", "country": "DE"})).await;
        let two = make(&world, json!({"name": "Two", "registry_number": "1"})).await;
        let command = AccountChange { id: two.id, account: account(json!({"country": "DE"})) };
        assert_eq!(world.app.run(&world.system(), command).await.unwrap_err().code(), "ACCOUNT_DUPLICATE");
    }

    async fn accounts_are_found_by_what_describes_them(world: World) {
        world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
        make(&world, json!({"name": "Öst Example", "tier": "T1", "industry": "banks", "territory": "Texas", "tags": ["a", "b"]})).await;
        make(&world, json!({"name": "West Example", "tier": "T2", "industry": "banks", "tags": ["b"]})).await;
        let by = |filter: AccountFilter| names(&world.app, filter);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(by(AccountFilter { tier: some("T1"), ..AccountFilter::default() }).await, ["Öst Example"]);
        assert_eq!(by(AccountFilter { industry: some("FINANCIALS"), ..AccountFilter::default() }).await.len(), 2);
        assert_eq!(by(AccountFilter { tag: some("a"), ..AccountFilter::default() }).await, ["Öst Example"]);
        assert_eq!(by(AccountFilter { name_prefix: some("OST"), ..AccountFilter::default() }).await, ["Öst Example"]);
        assert_eq!(by(AccountFilter { domain: some("example.com"), ..AccountFilter::default() }).await, [""; 0]);
        let filter = AccountFilter { name_prefix: some("west"), ..AccountFilter::default() };
        let west = world.app.store.account_page(&filter, &Page::first(1)).await.unwrap().items.remove(0);
        let tagging = AccountTag { id: west.id, add: vec!["A".to_owned()], remove: vec!["b".to_owned()] };
        world.app.run(&world.system(), tagging).await.unwrap();
        assert_eq!(by(AccountFilter { tag: some("a"), ..AccountFilter::default() }).await.len(), 2);
        assert_eq!(by(AccountFilter { tag: some("b"), ..AccountFilter::default() }).await, ["Öst Example"]);
    }

    async fn a_contact_is_one_record_across_sources(world: World) {
        let home = make(&world, json!({"name": "Example", "domains": ["example.com"]})).await;
        let create = ContactCreate {
            contact: contact(json!({"name": "Ann Example", "email": "Ann@Example.com", "phone": "212 555 0123"})),
            default_region: Some("US".to_owned()),
        };
        let made = world.app.run(&world.system(), create.clone()).await.unwrap().record;
        assert_eq!(made.account, Some(home.id), "linked by the domain of the address");
        let refused = world.app.run(&world.system(), create).await.unwrap_err();
        assert_eq!(refused.code(), "CONTACT_DUPLICATE");
        let row = ContactRow {
            contact: contact(json!({"email": "ann@example.com", "external_ids": {"crm": "7"}, "title": "Buyer"})),
            account: None,
        };
        let upsert = ContactUpsert { row: row.clone(), default_region: None };
        let merged = world.app.run(&world.system(), upsert.clone()).await.unwrap();
        assert_eq!((merged.outcome, merged.record.id), (Outcome::Changed, made.id));
        assert_eq!(world.app.run(&world.system(), upsert).await.unwrap().outcome, Outcome::Unchanged);
        let other = ContactCreate { contact: contact(json!({"email": "bo@example.org"})), default_region: None };
        let bo = world.app.run(&world.system(), other).await.unwrap().record;
        let taking = ContactChange { id: bo.id, contact: contact(json!({"email": "ann@example.com"})), default_region: None };
        assert_eq!(world.app.run(&world.system(), taking).await.unwrap_err().code(), "CONTACT_DUPLICATE");
        let of_home = world.app.store.contacts_of(&[home.id], 5).await.unwrap();
        assert_eq!(of_home.iter().map(|contact| contact.id).collect::<Vec<_>>(), [made.id]);
        let filter = ContactFilter { email: Some("ann@example.com".to_owned()), ..ContactFilter::default() };
        assert_eq!(world.app.store.contact_page(&filter, &Page::first(5)).await.unwrap().items.len(), 1);
    }

    async fn contacts_are_imported_with_their_accounts(world: World) {
        let home = make(&world, json!({"name": "Example", "domains": ["example.com"], "external_ids": {"crm": "1"}})).await;
        let row = |contact_value: Value, keys: Option<Value>| ContactRow { contact: contact(contact_value), account: keys.map(account) };
        let rows = vec![
            row(json!({"email": "a@mail.example.org"}), Some(json!({"domains": ["www.example.com"]}))),
            row(json!({"email": "b@mail.example.org"}), Some(json!({"external_ids": {"crm": "1"}}))),
            row(json!({"email": "c@mail.example.org"}), Some(json!({"name": "Nobody"}))),
            row(json!({"email": "d at example.org"}), None),
            row(json!({"email": "A@mail.example.org", "name": "A"}), None),
            row(json!({"email": "e@mail.example.org", "account": "00000000-0000-0000-0000-000000000001"}), None),
        ];
        let done = world.app.run(&world.system(), ContactUpsertMany { rows: rows.clone(), default_region: None }).await.unwrap();
        let codes: Vec<&str> = done.rows.iter().map(refusal).collect();
        assert_eq!(codes, ["", "", "CONTACT_ACCOUNT_UNKNOWN", "EMAIL_INVALID", "", "NOT_FOUND"]);
        assert_eq!(done.rows[0].id(), done.rows[4].id());
        assert!(done.changed.0.iter().all(|contact| contact.account == Some(home.id)));
        let entries = world.ledger().await.len();
        world.app.run(&world.system(), ContactUpsertMany { rows, default_region: None }).await.unwrap();
        assert_eq!(world.ledger().await.len(), entries);
    }

    async fn withdrawn_consent_is_given_again_only_by_hand(world: World) {
        let create = ContactCreate { contact: contact(json!({"email": "ann@example.com"})), default_region: None };
        let id = world.app.run(&world.system(), create).await.unwrap().record.id;
        let given = |state, source: &str| ContactSetConsent {
            id,
            consent: ConsentGiven { state, source: Some(source.to_owned()), at: None },
        };
        world.app.run(&world.system(), given(ConsentState::Withdrawn, "reply")).await.unwrap();
        let row = contact(json!({"email": "ann@example.com", "consent": {"state": "GRANTED", "source": "file"}})).into();
        let merged = world.app.run(&world.system(), ContactUpsert { row, default_region: None }).await.unwrap();
        assert_eq!((merged.outcome, merged.record.consent.state), (Outcome::Unchanged, ConsentState::Withdrawn));
        let by_hand = world.app.run(&world.system(), given(ConsentState::Granted, "call")).await.unwrap();
        assert_eq!(by_hand.record.consent.state, ConsentState::Granted);
        let filter = ContactFilter { consent: Some(ConsentState::Granted), ..ContactFilter::default() };
        assert_eq!(world.app.store.contact_page(&filter, &Page::first(5)).await.unwrap().items.len(), 1);
    }

    async fn custom_fields_are_checked_by_their_definition(world: World) {
        let define = CustomFieldDefine {
            entity: Entity::Account,
            key: "seats".to_owned(),
            label: "Seats".to_owned(),
            kind: Kind::Number,
            choices: Vec::new(),
            required: true,
        };
        let field = world.app.run(&world.system(), define.clone()).await.unwrap();
        assert_eq!(world.app.run(&world.system(), define).await.unwrap_err().code(), "CUSTOM_FIELD_KEY_TAKEN");
        let create = |value: Value| AccountCreate { account: account(value) };
        let missing = world.app.run(&world.system(), create(json!({"name": "Example"}))).await.unwrap_err();
        assert_eq!(missing.code(), "CUSTOM_FIELD_REQUIRED");
        let made = make(&world, json!({"name": "Example", "custom": {"seats": "42"}})).await;
        assert_eq!(made.custom, BTreeMap::from([("seats".to_owned(), json!(42))]));
        let retire = CustomFieldChange { id: field.id, label: None, choices: None, required: None, active: Some(false) };
        world.app.run(&world.system(), retire).await.unwrap();
        let retired = world.app.run(&world.system(), create(json!({"name": "Other", "custom": {"seats": 1}}))).await.unwrap_err();
        assert_eq!(retired.code(), "CUSTOM_FIELD_RETIRED");
    }

    async fn the_shipped_taxonomies_are_installed_once_and_kept_as_changed(world: World) {
        let added = world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
        assert!(added.len() > 20);
        let change = TaxonomyTermSave {
            taxonomy: Taxonomy::Tier,
            code: "T1".to_owned(),
            name_en: Some("Named accounts".to_owned()),
            name_zh: None,
            aliases: None,
            active: None,
        };
        world.app.run(&world.system(), change).await.unwrap();
        assert!(world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap().is_empty());
        let taxonomies = world.app.store.taxonomies().await.unwrap();
        assert_eq!(taxonomies.term(Taxonomy::Tier, "T1").unwrap().name_en, "Named accounts");
        assert_eq!(taxonomies.term(Taxonomy::Tier, "T1").unwrap().name_zh, "一级客户");
        assert_eq!(taxonomies.resolve(Taxonomy::Tier, "strategic").unwrap(), "T1");
    }
}
