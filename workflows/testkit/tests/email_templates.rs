//! Templates that sequences share: versions, what a sequence keeps of them, who is behind, archiving and previews, on both
//! databases.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use serde_json::{Map, json};
use tandem_app::contacts::ContactCreate;
use tandem_app::email_template::{Previewed, TemplateApplied};
use tandem_app::sequence::{Applied, sequence_validate};
use tandem_app::{
    AppError, Call, EmailTemplateArchive, EmailTemplatePublish, EnrollmentCreate, SequenceArchive, SequencePublish,
};
use tandem_domain::access::Role;
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::email_template::{EmailTemplate, EmailTemplateState, EmailTemplateVersion};
use tandem_domain::sequence::{Sequence, SequenceVersion};
use tandem_store::Page;
use tandem_testkit::{World, on_both_databases};

const MAIL: &str = r#"
key: welcome_mail
name: Welcome
subject: "Hello {{ contact.first_name | default('there') }}"
text: "First version. {% include 'signature' %}"
languages:
  zh: { subject: "{{ contact.name }}，您好", text: "第一版。{% include \"signature\" %}" }
snippets:
  signature: "{{ sender.name }} {{ unsubscribe_url }}"
"#;

/// A sequence whose second e-mail comes two days after the first.
fn two_mails(key: &str, template: &str) -> String {
    format!(
        "key: {key}\nname: Two\nsubject: contact\nsteps:\n  - {{ id: one, kind: send_email, template: {template} }}\n  - {{ id: \
         rest, kind: wait, duration: 2d }}\n  - {{ id: two, kind: send_email, template: {template} }}\n  - {{ id: done, kind: \
         end }}\n"
    )
}

fn second() -> String {
    MAIL.replace("First version", "Second version").replace("第一版", "第二版")
}

async fn publish(world: &World, source: &str) -> (EmailTemplate, EmailTemplateVersion) {
    world.app.run(&world.system(), EmailTemplatePublish { source: source.to_owned() }).await.unwrap()
}

async fn sequence(world: &World, source: &str) -> (Sequence, SequenceVersion) {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap()
}

async fn enroll(world: &World, sequence: &Sequence, contact: &Contact) {
    let create = EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Map::new() };
    world.app.run(&world.system(), create).await.unwrap();
    world.run_due_jobs().await;
}

async fn archive(world: &World, template: &EmailTemplate, reason: Option<&str>) -> Result<EmailTemplate, AppError> {
    let command = EmailTemplateArchive { template: template.id, reason: reason.map(str::to_owned) };
    world.app.run(&world.system(), command).await
}

async fn person(world: &World, name: &str, locale: &str) -> Contact {
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": name,
        "email": format!("{}@example.com", name.to_lowercase()),
        "locale": locale,
        "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

/// The first words of the texts that were sent.
fn sent(world: &World) -> Vec<String> {
    let first = |text: String| text.split('.').next().unwrap_or_default().to_owned();
    world.mailer.sent().into_iter().map(|email| first(email.text)).collect()
}

on_both_databases! {
    async fn a_published_sequence_keeps_the_texts_that_it_took(world: World) {
        let (template, first) = publish(&world, MAIL).await;
        assert_eq!((first.number, template.state), (1, EmailTemplateState::Active));
        let source = two_mails("takes", "welcome_mail");
        let (takes, version) = sequence(&world, &source).await;
        let kept = serde_json::to_string(&version.definition).unwrap();
        assert!(kept.contains("First version") && !kept.contains("include"), "{kept}");
        let sam = person(&world, "Sam", "en").await;
        enroll(&world, &takes, &sam).await;
        let (template, newer) = publish(&world, &second()).await;
        assert_eq!((newer.number, template.latest_number), (2, 2));
        // The template changed, and the run goes on with what its version says.
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world), ["First version", "First version"]);
        let same: SequenceVersion = world.app.store.find(version.id).await.unwrap().unwrap();
        assert_eq!(same, version);
        // The same document, published again, takes the newest; a document that asks for a version does not.
        let Applied::Published(next) = world.app.sequence_apply(&world.system(), source.clone()).await.unwrap() else {
            unreachable!("it says something else now")
        };
        assert_eq!(next.number, 2);
        let again = world.app.sequence_apply(&world.system(), source).await.unwrap();
        assert!(matches!(again, Applied::Unchanged(version) if version.number == 2));
        let (_, pinned) = sequence(&world, &two_mails("pinned", "welcome_mail@1")).await;
        assert!(serde_json::to_string(&pinned.definition).unwrap().contains("First version"));
        let again = world.app.sequence_apply(&world.system(), two_mails("pinned", "welcome_mail@1")).await.unwrap();
        assert!(matches!(again, Applied::Unchanged(_)));
        let lin = person(&world, "Lin", "zh-Hans-CN").await;
        enroll(&world, &takes, &lin).await;
        assert_eq!(world.mailer.sent().pop().unwrap().subject, "Lin，您好");
        // What was taken is on the record: of the publications, and of the steps.
        let ledger = world.ledger().await;
        let of = |kind: &str| ledger.iter().filter(|link| link.entry.kind == kind).map(|link| link.entry.detail.clone()).collect::<Vec<_>>();
        let numbers: Vec<_> = of("email_template.published").iter().map(|detail| detail["number"].clone()).collect();
        assert_eq!(numbers, [json!(1), json!(2)]);
        let taken: Vec<_> = of("sequence.published").iter().map(|detail| detail["templates"].clone()).collect();
        let uses = |version: u32| json!([{"template": "welcome_mail", "version": version}]);
        assert_eq!(taken, [uses(1), uses(2), json!([{"template": "welcome_mail", "version": 1, "pinned": true}])]);
        let steps = of("enrollment.advanced");
        assert_eq!(steps[0]["taken"][0]["template"], "welcome_mail@1");
        let page = Page::first(50);
        let runs = world.app.store.enrollment_page(&Default::default(), &page).await.unwrap().items;
        let story = world.app.enrollment_story(runs[1].id, &Page::first(50)).await.unwrap().items;
        let told: Vec<String> = story.iter().map(|entry| entry.beat.sentence.clone()).collect();
        assert!(told.iter().any(|one| one.contains("took `one` (send_email), from the template `welcome_mail@2`")), "{told:#?}");
        let diff = world.app.sequence_version_diff(next.id, None).await.unwrap().diff;
        let changed = &diff.steps[0].fields;
        assert!(
            changed.iter().any(|change| change.path == "uses.version"
                && (change.before.as_ref(), change.after.as_ref()) == (Some(&json!(1)), Some(&json!(2)))),
            "{changed:#?}"
        );
    }

    async fn who_is_behind_is_seen_with_live_runs_and_moves_on_when_published_again(world: World) {
        publish(&world, MAIL).await;
        let (takes, _) = sequence(&world, &two_mails("takes", "welcome_mail")).await;
        let (pinned, _) = sequence(&world, &two_mails("pinned", "welcome_mail@1")).await;
        let (over, _) = sequence(&world, &two_mails("over", "welcome_mail")).await;
        world.app.run(&world.system(), SequenceArchive { sequence: over.id }).await.unwrap();
        for (n, of) in [&takes, &takes, &pinned].into_iter().enumerate() {
            let contact = world.contact(&format!("p{n}@example.com")).await;
            enroll(&world, of, &contact).await;
        }
        let usages = async || {
            let found = world.app.email_template_usages("welcome_mail").await.unwrap();
            let mut found: Vec<_> = found
                .into_iter()
                .map(|(usage, sequence)| {
                    let at = (sequence.key, usage.number, usage.template_number);
                    (at, usage.pinned, usage.current, usage.live_runs)
                })
                .collect();
            found.sort();
            found
        };
        let of = |key: &str, number, template| (key.to_owned(), number, template);
        let before = [(of("pinned", 1, 1), true, true, 1), (of("takes", 1, 1), false, true, 2)];
        assert_eq!(usages().await, before, "an archived sequence without runs takes nothing any more");
        publish(&world, &second()).await;
        assert_eq!(usages().await, before, "a new version changes nobody");
        let republish = async || {
            let mut done = Vec::new();
            let told = |key: &str, applied: Result<Applied, AppError>| {
                done.push((key.to_owned(), matches!(applied, Ok(Applied::Published(_)))));
            };
            world.app.email_template_republish(&world.system(), "welcome_mail", told).await.unwrap();
            done
        };
        let done = republish().await;
        assert_eq!(done, [("takes".to_owned(), true)], "what asks for a version keeps it");
        let after = [
            (of("pinned", 1, 1), true, true, 1),
            (of("takes", 1, 1), false, false, 2),
            (of("takes", 2, 2), false, true, 0),
        ];
        assert_eq!(usages().await, after);
        assert!(republish().await.is_empty());
        // Those who ran go through to their end, and then nobody uses the older version.
        world.pass(TimeDelta::days(3)).await;
        assert!(sent(&world).iter().all(|text| text == "First version"), "{:?}", sent(&world));
        assert_eq!(usages().await, [(of("pinned", 1, 1), true, true, 0), (of("takes", 2, 2), false, true, 0)]);
    }

    async fn a_template_that_is_not_there_is_refused_with_its_place(world: World) {
        publish(&world, MAIL).await;
        for (template, code, words) in [
            ("welcom_mail", "SEQUENCE_REFERENCE_UNKNOWN", "did you mean `welcome_mail`?"),
            ("welcome_mail@2", "SEQUENCE_REFERENCE_UNKNOWN", "the newest is 1"),
        ] {
            let source = two_mails("takes", template);
            let library = world.app.library(&source).await.unwrap();
            let problems = sequence_validate(&source, &library).unwrap_err();
            let places: Vec<_> = problems.iter().map(|one| (one.rule.as_str(), one.line, one.column)).collect();
            assert_eq!(places, [(code, Some(5), Some(44)), (code, Some(7), Some(44))]);
            assert!(problems[0].message.contains(words), "{}", problems[0].message);
            let refused = world.app.run(&world.system(), SequencePublish { source }).await.unwrap_err();
            assert_eq!(refused.code(), "SEQUENCE_INVALID");
        }
        assert!(world.app.store.sequence_by_key("takes").await.unwrap().is_none());
        let broken = EmailTemplatePublish { source: MAIL.replace("contact.name", "contact.nme") };
        assert_eq!(world.app.run(&world.system(), broken).await.unwrap_err().code(), "EMAIL_TEMPLATE_INVALID");
        let same = world.app.email_template_apply(&world.system(), format!("# the same\n{MAIL}")).await.unwrap();
        assert!(matches!(same, TemplateApplied::Unchanged(version) if version.number == 1));
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| kind.starts_with("email_template.")).count(), 1, "{kinds:?}");
    }

    async fn archiving_what_sequences_take_needs_a_reason_and_stops_no_run(world: World) {
        let (template, _) = publish(&world, MAIL).await;
        let source = two_mails("takes", "welcome_mail");
        let (takes, _) = sequence(&world, &source).await;
        let sam = person(&world, "Sam", "en").await;
        enroll(&world, &takes, &sam).await;
        let refused = archive(&world, &template, None).await.unwrap_err();
        assert_eq!(refused.code(), "EMAIL_TEMPLATE_IN_USE");
        assert!(refused.to_string().starts_with("takes take(s) it"), "{refused}");
        let archived = archive(&world, &template, Some("The offer is over.")).await.unwrap();
        assert_eq!(archived.state, EmailTemplateState::Archived);
        let entry = world.ledger().await.pop().unwrap().entry;
        assert_eq!((entry.kind.as_str(), entry.state_after.as_deref()), ("email_template.archived", Some("ARCHIVED")));
        assert_eq!((&entry.detail["why"], &entry.detail["taken_by"]), (&json!("The offer is over."), &json!(["takes"])));
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world), ["First version", "First version"]);
        let library = world.app.library(&source).await.unwrap();
        let problems = sequence_validate(&source, &library).unwrap_err();
        assert_eq!((problems[0].rule.as_str(), problems[0].line), ("SEQUENCE_TEMPLATE_ARCHIVED", Some(5)));
        assert_eq!(archive(&world, &template, None).await.unwrap_err().code(), "EMAIL_TEMPLATE_ARCHIVED_ALREADY");
        let again = EmailTemplatePublish { source: second() };
        assert_eq!(world.app.run(&world.system(), again).await.unwrap_err().code(), "EMAIL_TEMPLATE_ARCHIVED");
        // Nobody takes this one, so that nobody needs to be told why.
        let (free, _) = publish(&world, &MAIL.replace("welcome_mail", "free_mail")).await;
        assert_eq!(archive(&world, &free, None).await.unwrap().state, EmailTemplateState::Archived);
    }

    async fn a_sequence_never_takes_what_is_archived_at_the_same_moment(world: World) {
        for n in 0..12 {
            let (template, _) = publish(&world, &MAIL.replace("welcome_mail", &format!("mail_{n}"))).await;
            let publication = SequencePublish { source: two_mails(&format!("takes_{n}"), &format!("mail_{n}")) };
            let call = world.system();
            let (archived, published) = tokio::join!(archive(&world, &template, None), world.app.run(&call, publication));
            match (archived, published) {
                (Ok(_), Err(refused)) => assert_eq!(refused.code(), "SEQUENCE_INVALID"),
                (Err(refused), Ok(_)) => assert_eq!(refused.code(), "EMAIL_TEMPLATE_IN_USE"),
                (archived, published) => panic!("{archived:?} {published:?}"),
            }
        }
    }

    async fn versions_published_at_the_same_moment_follow_each_other(world: World) {
        publish(&world, MAIL).await;
        let texts: Vec<String> = (0..4).map(|n| MAIL.replace("First version", &format!("Text {n}"))).collect();
        let (one, two, three, four) = tokio::join!(
            publish(&world, &texts[0]), publish(&world, &texts[1]), publish(&world, &texts[2]), publish(&world, &texts[3]),
        );
        let mut numbers: Vec<u32> = [one, two, three, four].iter().map(|(_, version)| version.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3, 4, 5]);
        let template = world.app.store.email_template_by_key("welcome_mail").await.unwrap().unwrap();
        let versions = world.app.store.email_template_version_page(template.id, &Page::first(50)).await.unwrap().items;
        assert_eq!((versions.len(), template.latest_number), (5, 5));
        let newest = world.app.email_template_version("welcome_mail", None).await.unwrap().unwrap();
        assert_eq!((newest.id, newest.number), (template.latest_version, 5));
    }

    async fn a_preview_is_in_the_language_of_whoever_would_get_it(world: World) {
        publish(&world, MAIL).await;
        publish(&world, &second()).await;
        let stored = |number| Previewed::Stored { key: "welcome_mail".to_owned(), number };
        let before = world.ledger_kinds().await.len() + 3;
        for (name, locale, language, subject, text) in [
            ("Lin", "zh-Hans-CN", Some("zh"), "Lin，您好", "第二版。"),
            ("Sam", "en-GB", None, "Hello Sam", "Second version."),
            ("Ana", "pt-BR", None, "Hello Ana", "Second version."),
        ] {
            let contact = person(&world, name, locale).await;
            for of in [stored(None), stored(Some(2)), Previewed::Document(second())] {
                let letter = world.app.email_template_preview(&of, contact.id, None).await.unwrap().unwrap();
                assert_eq!((letter.language.as_deref(), letter.subject.as_str()), (language, subject));
                assert!(letter.text.starts_with(text) && !letter.text.contains("/u/"), "{}", letter.text);
            }
        }
        assert_eq!(world.ledger_kinds().await.len(), before, "a preview changes nothing");
        let nobody = world.contact("nobody@example.com").await;
        let preview = async |of: Previewed| world.app.email_template_preview(&of, nobody.id, None).await;
        let first = preview(stored(Some(1))).await.unwrap().unwrap();
        assert_eq!(first.subject, "Hello there");
        assert!(first.text.starts_with("First version."));
        assert_eq!(preview(stored(Some(3))).await.unwrap_err().code(), "EMAIL_TEMPLATE_UNKNOWN");
        let needs = Previewed::Document(MAIL.replace("contact.first_name | default('there')", "contact.title"));
        assert_eq!(preview(needs).await.unwrap_err().code(), "TEMPLATE_UNDEFINED");
        let problems = preview(Previewed::Document(MAIL.replace("'signature'", "'sgnature'"))).await.unwrap().unwrap_err();
        assert!(problems[0].message.contains("did you mean `signature`?"), "{}", problems[0]);
    }

    async fn those_who_define_sequences_publish_and_archive_templates(world: World) {
        let publication = || EmailTemplatePublish { source: MAIL.to_owned() };
        for (name, role) in [("mara", Role::Marketing), ("sid", Role::Sdr), ("max", Role::SalesManager), ("bot", Role::Integration)] {
            let side = match role {
                Role::Marketing => Some(tandem_domain::access::Side::Marketing),
                Role::Integration => None,
                _ => Some(tandem_domain::access::Side::Sales),
            };
            let (_, call) = world.user(name, role, side).await;
            assert_eq!(world.app.run(&call, publication()).await.unwrap_err().code(), "FORBIDDEN", "{name}");
        }
        let (user, ops) = world.user("ops", Role::SalesOps, None).await;
        let keyed: Call = ops.clone().with_key(Some("once".to_owned()));
        let (template, version) = world.app.run(&keyed, publication()).await.unwrap();
        assert_eq!(version.published_by, Some(user.id));
        assert_eq!(world.app.run(&keyed, publication()).await.unwrap().1.id, version.id, "once is once");
        let (_, sid) = world.user("sue", Role::Sdr, Some(tandem_domain::access::Side::Sales)).await;
        let command = EmailTemplateArchive { template: template.id, reason: None };
        assert_eq!(world.app.run(&sid, command.clone()).await.unwrap_err().code(), "FORBIDDEN");
        assert_eq!(world.app.run(&ops, command).await.unwrap().state, EmailTemplateState::Archived);
    }
}
