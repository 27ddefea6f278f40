//! Accounts, contacts, custom fields and taxonomies through GraphQL.

use crate::client::{ask, change};
use serde_json::{Value, json};
use tandem_app::{Call, TaxonomyLibraryInstall};
use tandem_domain::access::Role;
use tandem_testkit::{World, on_both_databases};

async fn ops(world: &World) -> Call {
    world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
    world.user("ops", Role::SalesOps, None).await.1
}

on_both_databases! {
    async fn an_account_is_made_from_messy_input_and_read_in_both_languages(world: World) {
        let ops = ops(&world).await;
        let define = json!({"entity": "ACCOUNT", "key": "plan", "label": "Plan", "kind": "CHOICE", "choices": ["Free", "Pro"]});
        let defined = change(&world, &ops, "customFieldDefine", "customField { key choices active }", define).await;
        assert_eq!(defined["customField"], json!({"key": "plan", "choices": ["Free", "Pro"], "active": true}));
        let input = json!({
            "name": "Example, Inc.", "domains": ["https://www.Example.com/about"], "tier": "tier 1", "industry": "software",
            "territory": "Austin, Texas", "country": "us", "tags": ["Key Account"], "customFields": {"plan": "PRO"},
            "externalIds": [{"system": "CRM", "id": "42"}], "idempotencyKey": "k-1"
        });
        let fields = "account { id name domains country tags customFields externalIds { system id } tier { code }
            industry { code name zh: name(language: ZH) } territory { code } }";
        let made = change(&world, &ops, "accountCreate", fields, input.clone()).await;
        let account = &made["account"];
        assert_eq!(account["domains"], json!(["example.com"]), "{made}");
        assert_eq!(account["industry"], json!({"code": "INFORMATION_TECHNOLOGY", "name": "Information Technology", "zh": "信息技术"}));
        assert_eq!(account["territory"]["code"], "US_SOUTH");
        assert_eq!(account["customFields"], json!({"plan": "Pro"}));
        assert_eq!(account["externalIds"], json!([{"system": "crm", "id": "42"}]));
        assert_eq!(change(&world, &ops, "accountCreate", fields, input).await, made, "the same key gives the same payload");

        let again = json!({"name": "Another", "domains": ["example.com"]});
        let refused = change(&world, &ops, "accountCreate", "account { id }", again).await;
        assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_DUPLICATE");
        assert_eq!(refused["userErrors"][0]["field"], json!(["domains"]));
        let wrong = json!({"name": "Other", "tier": "Gold"});
        let refused = change(&world, &ops, "accountCreate", "account { id }", wrong).await;
        assert_eq!(refused["userErrors"][0]["code"], "TAXONOMY_UNKNOWN_TERM");
        assert_eq!(refused["userErrors"][0]["field"], json!(["tier"]));
    }

    async fn an_omitted_field_stays_and_null_clears(world: World) {
        let ops = ops(&world).await;
        let made = change(&world, &ops, "accountCreate", "account { id }", json!({"name": "Example", "tier": "T1", "country": "DE"})).await;
        let input = json!({"accountId": made["account"]["id"], "tier": null});
        let changed = change(&world, &ops, "accountChange", "account { name country tier { code } }", input).await;
        assert_eq!(changed["account"], json!({"name": "Example", "country": "DE", "tier": null}));
        let foreign = json!({"accountId": "x", "tier": null});
        let refused = change(&world, &ops, "accountChange", "account { name }", foreign).await;
        assert_eq!(refused["userErrors"][0]["code"], "ID_INVALID");
    }

    async fn rows_are_upserted_each_with_its_result(world: World) {
        let ops = ops(&world).await;
        let rows = json!({"rows": [
            {"name": "One", "domains": ["one.example.com"]}, {"name": "Two", "domains": ["localhost"]}, {"name": "One", "domains": ["one.example.com"]}
        ]});
        let fields = "rows { outcome accountId error { code field } }";
        let done = change(&world, &ops, "accountUpsertMany", fields, rows).await;
        assert_eq!(done["rows"][0]["outcome"], "CREATED", "{done}");
        assert_eq!(done["rows"][1], json!({"outcome": null, "accountId": null, "error": {"code": "DOMAIN_INVALID", "field": ["domains"]}}));
        assert_eq!(done["rows"][2]["outcome"], "UNCHANGED");
        let upsert = change(&world, &ops, "accountUpsert", "outcome account { tags }", json!({"domains": ["one.example.com"], "tags": ["x"]})).await;
        assert_eq!((&upsert["outcome"], &upsert["account"]["tags"]), (&json!("CHANGED"), &json!(["x"])));
        let tagged = json!({"accountId": done["rows"][0]["accountId"], "add": ["New"], "remove": ["x"]});
        let tagged = change(&world, &ops, "accountTag", "account { tags }", tagged).await;
        assert_eq!(tagged["account"]["tags"], json!(["new"]));
    }

    async fn contacts_hang_on_their_accounts_in_pages(world: World) {
        let ops = ops(&world).await;
        for domain in ["example.com", "example.org"] {
            change(&world, &ops, "accountCreate", "account { id }", json!({"name": domain, "domains": [domain]})).await;
        }
        let rows: Vec<Value> = (0..7)
            .map(|n| json!({"name": format!("Person {n}"), "email": format!("p{n}@example.com")}))
            .chain([json!({"email": "q@elsewhere.test", "account": {"domain": "www.example.org"}})])
            .collect();
        let done = change(&world, &ops, "contactUpsertMany", "rows { outcome error { code } }", json!({"rows": rows})).await;
        assert!(done["rows"].as_array().unwrap().iter().all(|row| row["outcome"] == "CREATED"), "{done}");
        let query = "{ accounts { nodes { name contacts(first: 3) { nodes { email } pageInfo { hasNextPage endCursor } } } } }";
        let page = ask(&world, &ops, query, json!({})).await["data"]["accounts"]["nodes"].clone();
        assert_eq!(page[0]["contacts"]["nodes"].as_array().unwrap().len(), 3);
        assert_eq!(page[0]["contacts"]["pageInfo"]["hasNextPage"], true);
        assert_eq!(page[1]["contacts"]["nodes"], json!([{"email": "q@elsewhere.test"}]));
        assert_eq!(page[1]["contacts"]["pageInfo"]["hasNextPage"], false);
        let next = "query($after: String) { accounts(filter: {domain: \"example.com\"}) { nodes { contacts(first: 5, after: $after) {
            nodes { email account { name } } pageInfo { hasNextPage } } } } }";
        let after = page[0]["contacts"]["pageInfo"]["endCursor"].clone();
        let rest = ask(&world, &ops, next, json!({"after": after})).await["data"]["accounts"]["nodes"][0]["contacts"].clone();
        assert_eq!(rest["nodes"].as_array().unwrap().len(), 4, "{rest}");
        assert_eq!(rest["nodes"][0], json!({"email": "p3@example.com", "account": {"name": "example.com"}}));
        let found = ask(&world, &ops, "{ contacts(filter: {email: \"P3@Example.com\"}) { nodes { id name } } }", json!({})).await;
        let contact = &found["data"]["contacts"]["nodes"][0];
        assert_eq!(contact["name"], "Person 3");
        let node = ask(&world, &ops, "query($id: ID!) { node(id: $id) { __typename } contact(id: $id) { name } }", json!({"id": contact["id"]})).await;
        assert_eq!(node["data"], json!({"node": {"__typename": "Contact"}, "contact": {"name": "Person 3"}}));
    }

    async fn consent_is_set_and_read(world: World) {
        let ops = ops(&world).await;
        let input = json!({"email": "ann@example.com", "phone": "030 901820", "defaultRegion": "DE", "timeZone": "Europe/Berlin"});
        let made = change(&world, &ops, "contactCreate", "contact { id phone timeZone consent { state } }", input).await;
        assert_eq!(made["contact"]["phone"], "+4930901820", "{made}");
        assert_eq!(made["contact"]["consent"]["state"], "UNKNOWN");
        let id = &made["contact"]["id"];
        let missing = json!({"contactId": id, "consent": {"state": "GRANTED"}});
        let refused = change(&world, &ops, "contactSetConsent", "contact { id }", missing).await;
        assert_eq!(refused["userErrors"][0]["code"], "CONSENT_SOURCE_MISSING");
        let given = json!({"contactId": id, "consent": {"state": "GRANTED", "source": "newsletter form"}});
        let set = change(&world, &ops, "contactSetConsent", "contact { consent { state source } }", given).await;
        assert_eq!(set["contact"]["consent"], json!({"state": "GRANTED", "source": "newsletter form"}));
        let renamed = json!({"contactId": id, "name": "Ann", "email": null});
        let changed = change(&world, &ops, "contactChange", "contact { name email }", renamed).await;
        assert_eq!(changed["contact"], json!({"name": "Ann", "email": null}));
    }

    async fn a_refused_contact_names_the_fields_of_its_input(world: World) {
        let ops = ops(&world).await;
        let made = change(&world, &ops, "contactCreate", "contact { id }", json!({"email": "ann@example.com"})).await;
        let wordy = json!({"contactId": made["contact"]["id"], "consent": {"state": "WITHDRAWN", "source": "x".repeat(201)}});
        let refused = change(&world, &ops, "contactSetConsent", "contact { id }", wordy).await;
        assert_eq!(refused["userErrors"][0]["field"], json!(["consent", "source"]), "{refused}");
        let rows = json!({"rows": [{"email": "bob@example.com"}, {"email": "eve@example.com", "accountId": "x"},
            {"email": "kay@example.com"}]});
        // What cannot be read costs its own row alone.
        let done = change(&world, &ops, "contactUpsertMany", "rows { outcome error { field code } }", rows).await;
        let row = json!({"outcome": null, "error": {"field": ["accountId"], "code": "ID_INVALID"}});
        assert_eq!((&done["rows"][0]["outcome"], &done["rows"][1]), (&json!("CREATED"), &row), "{done}");
        assert_eq!(done["rows"][2]["outcome"], "CREATED", "{done}");
        let rows = json!({"rows": [{"email": "eve@example.com", "account": {"domain": "localhost"}}]});
        let refused = change(&world, &ops, "contactUpsertMany", "rows { error { field } }", rows).await;
        assert_eq!(refused["rows"][0]["error"]["field"], json!(["account", "domain"]), "{refused}");
    }

    async fn sales_ops_govern_the_taxonomies_and_sdrs_do_not(world: World) {
        let ops = ops(&world).await;
        let input = json!({"taxonomy": "INDUSTRY", "code": "SPACE", "nameEn": "Space", "nameZh": "航天", "aliases": ["rockets"]});
        let saved = change(&world, &ops, "taxonomyTermSave", "term { code name name2: name(language: ZH) aliases }", input).await;
        assert_eq!(saved["term"], json!({"code": "SPACE", "name": "Space", "name2": "航天", "aliases": ["rockets"]}), "{saved}");
        let query = "{ taxonomyTermResolve(taxonomy: INDUSTRY, text: \"ROCKETS!\") { code }
            taxonomyTerms(taxonomy: TIER) { nodes { code name(language: ZH) } } }";
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let read = ask(&world, &sdr, query, json!({})).await;
        assert_eq!(read["data"]["taxonomyTermResolve"]["code"], "SPACE", "{read}");
        assert_eq!(read["data"]["taxonomyTerms"]["nodes"][0], json!({"code": "T1", "name": "一级客户"}));
        let query = "mutation { taxonomyTermSave(input: {taxonomy: TIER, code: \"T1\", nameEn: \"X\"}) { term { code } } }";
        let forbidden = ask(&world, &sdr, query, json!({})).await;
        assert_eq!(forbidden["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}
