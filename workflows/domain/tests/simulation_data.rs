//! What a simulation is given beforehand takes the place of the sample, and what nobody would read is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;
use tandem_domain::sequence::simulation::{answers_alone, sample, sample_with};
use tandem_domain::sequence::{Definition, validate};

fn definition() -> Definition {
    let source = "key: k\nname: K\nsubject: contact\nsteps:\n  - {id: score, kind: call_webhook, channel: c, body: '1', as: points}\n\
                  \x20 - {id: told, kind: call_webhook, channel: c, body: '1'}\n  - {id: done, kind: end}\n";
    validate::read(source).unwrap()
}

#[test]
fn what_is_given_takes_the_place_of_the_sample_field_by_field() {
    let given = json!({
        "contact": {"name": "Wei Chen", "email": null, "custom": {"any": [1]}}, "account": null, "lists": ["vip"],
        "enrollment": {"vars": {"anything": {"at": "all"}}}, "answers": {"score": {"points": 70}},
        "interactions": {"form": {"count": 2}},
    });
    let data = sample_with(&given, &definition()).unwrap();
    let contact = (&data["contact"]["first_name"], &data["contact"]["email"], &data["contact"]["consent"]);
    assert_eq!(contact, (&json!("Wei"), &json!(null), &json!("GRANTED")));
    assert_eq!(
        (&data["account"], &data["lists"], &data["lead"]["priority"]),
        (&json!(null), &json!(["vip"]), &json!(50))
    );
    assert_eq!(
        (&data["interactions"]["form"]["count"], &data["interactions"]["form"]["last_name"]),
        (&json!(2), &json!(null))
    );
    assert_eq!(data["answers"]["score"]["points"], 70);
    assert_eq!(sample_with(&json!({}), &definition()).unwrap(), sample());
}

#[test]
fn what_nobody_would_read_is_refused_with_its_path() {
    for (given, path, says) in [
        (json!([1]), "data", "a map of contact, account"),
        (json!({"contcat": {}}), "contcat", "did you mean `contact`?"),
        (json!({"now": "2026-01-01T00:00:00Z"}), "now", "there are contact"),
        (json!({"contact": {"emial": "a@example.com"}}), "contact.emial", "did you mean `email`?"),
        (json!({"contact": {"email": 3}}), "contact.email", "it takes a text, and this is a number"),
        (json!({"contact": {"consent": "GRANTD"}}), "contact.consent", "did you mean `GRANTED`?"),
        (json!({"contact": {"consent": null}}), "contact.consent", "it takes a text, and this is null"),
        (json!({"contact": null}), "contact", "it takes a map, and this is null"),
        (json!({"lead": {"priority": "high"}}), "lead.priority", "it takes a number"),
        (json!({"account": {"tags": ["a", 1]}}), "account.tags[1]", "it takes a text"),
        (json!({"account": {"custom": []}}), "account.custom", "it takes a map"),
        (json!({"lists": "vip"}), "lists", "it takes a list of texts"),
        (json!({"interactions": {"forms": {}}}), "interactions.forms", "did you mean `form`?"),
        (json!({"enrollment": {"step": "a"}}), "enrollment.step", "only `vars` can be given"),
        (json!({"enrollment": {"var": {}}}), "enrollment.var", "did you mean `vars`?"),
        (json!({"answers": {"scor": 1}}), "answers.scor", "did you mean `score`?"),
        (json!({"answers": {"told": 1}}), "answers.told", "keeps no answer"),
    ] {
        let faults = sample_with(&given, &definition()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path]);
        assert!(faults[0].message.contains(says), "{}", faults[0]);
    }
    assert_eq!(answers_alone(&json!({"answers": {"score": 1}})), Ok(Some(&json!({"score": 1}))));
    assert_eq!(answers_alone(&json!({"contact": {}})).unwrap_err()[0].path, "contact");
    assert_eq!(answers_alone(&json!([1])).unwrap_err()[0].path, "data");
}
