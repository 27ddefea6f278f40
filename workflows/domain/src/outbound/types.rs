//! The types of events: every fact of the ledger is one. Facts of administration (users, tokens, definitions) are not sent.

/// What an endpoint is sent to see whether it answers.
pub const TEST: &str = "webhook.test";

/// Every type there is, in the order of the alphabet. A test holds them equal to the facts that the code knows.
pub const EVENT_TYPES: &[&str] = &[
    "account.changed",
    "account.created",
    "contact.changed",
    "contact.consent_set",
    "contact.created",
    "email.begun",
    "email.bounced",
    "email.deferred",
    "email.held",
    "email.lost_sight_of",
    "email.planned",
    "email.refused",
    "email.released",
    "email.resolved",
    "email.sent",
    "enrollment.advanced",
    "enrollment.answered",
    "enrollment.email_awaited",
    "enrollment.email_settled",
    "enrollment.ended",
    "enrollment.event_heard",
    "enrollment.migrated",
    "enrollment.pause_extended",
    "enrollment.paused",
    "enrollment.resumed",
    "enrollment.started",
    "enrollment.task_settled",
    "events.applied",
    "events.received",
    "experiment.changed",
    "experiment.decided",
    "experiment.registered",
    "experiment.started",
    "handoff.accepted",
    "handoff.assigned",
    "handoff.closed",
    "handoff.converted",
    "handoff.dispatched",
    "handoff.escalated",
    "handoff.held",
    "handoff.lost",
    "handoff.matched",
    "handoff.offered",
    "handoff.overdue",
    "handoff.progressed",
    "handoff.re_routed",
    "handoff.reclaimed",
    "handoff.rejected",
    "handoff.requeued",
    "handoff.resumed",
    "handoff.return_refused",
    "handoff.returned",
    "handoff.review_opened",
    "handoff.sent_to_nurture",
    "handoff.sent_to_sdr",
    "handoff.started",
    "handoff.timed_out",
    "inbound_delivery.received",
    "inbound_delivery.replayed",
    "inbound_delivery.settled",
    "interaction.recorded",
    "lead.accepted",
    "lead.changed",
    "lead.closed",
    "lead.dispatched",
    "lead.disqualified",
    "lead.escalated",
    "lead.graded",
    "lead.lost",
    "lead.marked_duplicate",
    "lead.nurture_ended",
    "lead.nurtured",
    "lead.prioritised",
    "lead.qualified",
    "lead.queued",
    "lead.received",
    "lead.recycled",
    "lead.returned",
    "lead.verification_begun",
    "lead.verification_dropped",
    "lead.verified",
    "lead.won",
    "lead.worked",
    "list.account_restored",
    "list.account_suspended",
    "list.change_approved",
    "list.change_edited",
    "list.change_expired",
    "list.change_proposed",
    "list.change_rejected",
    "list.change_withdrawn",
    "list.created",
    "list.restore_approved",
    "list.suspension_ended",
    "list.suspension_made_permanent",
    "list.version_made",
    "opportunity.closed",
    "opportunity.lost",
    "opportunity.opened",
    "opportunity.progressed",
    "opportunity.re_routed",
    "opportunity.taken",
    "opportunity.won",
    "outbound_call.begun",
    "outbound_call.cancelled",
    "outbound_call.deferred",
    "outbound_call.failed",
    "outbound_call.held",
    "outbound_call.planned",
    "outbound_call.succeeded",
    "outbound_webhook.disabled",
    "outbound_webhook.failing",
    "sequence.archived",
    "sequence.draft_changed",
    "sequence.drafted",
    "sequence.paused",
    "sequence.resumed",
    "suppression.added",
    "suppression.lifted",
    "verification.answered",
    "verification.disqualified",
    "verification.marked_duplicate",
    "verification.reconsidered",
    "verification.recycled",
    "verification.reopened",
    "verification.verified",
    "visitor.identified",
    "visitor.merged",
    "work_item.cancelled",
    "work_item.claimed",
    "work_item.completed",
    "work_item.lease_expired",
    "work_item.lease_renewed",
    "work_item.queued",
    "work_item.released",
    "work_item.resumed",
    "work_item.started",
    "work_item.taken_back",
    "work_item.waiting",
    "work_item.woken",
];

/// Whether a pattern is one: `*`, a family such as `handoff.*`, or a type.
pub fn is_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(family) => family.ends_with('.') && EVENT_TYPES.iter().any(|kind| kind.starts_with(family)),
        None => EVENT_TYPES.contains(&pattern),
    }
}

/// Whether a type is among those that a pattern means.
pub fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => kind.starts_with(family),
        None => kind == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The families of facts, by the first part of their names.
    const FAMILIES: [&str; 19] = [
        "account",
        "contact",
        "email",
        "enrollment",
        "events",
        "experiment",
        "handoff",
        "inbound_delivery",
        "interaction",
        "lead",
        "list",
        "opportunity",
        "outbound_call",
        "outbound_webhook",
        "sequence",
        "suppression",
        "verification",
        "visitor",
        "work_item",
    ];
    /// What looks like a fact of the ledger and is none: keys of identities, fields in tests, facts of administration.
    const OTHERS: [&str; 12] = [
        "account.domain",
        "account.name",
        "account.registry",
        "contact.email",
        "contact.phone",
        "contact.fist_name",
        "contact.score",
        "sequence.published",
        "outbound_webhook.saved",
        "outbound_webhook.secret_rotated",
        "outbound_webhook.replay_begun",
        "outbound_webhook.replayed",
    ];

    fn literals(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                literals(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("outbound/types.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                // Line by line, since a quote may be a character of its own.
                let texts = text.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
                let named = texts.filter(|text| {
                    let plain = |part: &str| {
                        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                    };
                    text.split_once('.').is_some_and(|(family, verb)| FAMILIES.contains(&family) && plain(verb))
                });
                found.extend(named.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_fact_of_the_ledger_is_a_type() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        literals(&sources, &mut found);
        literals(&sources.join("../../app/src"), &mut found);
        OTHERS.iter().for_each(|other| {
            found.remove(*other);
        });
        assert_eq!(EVENT_TYPES.iter().map(|kind| (*kind).to_owned()).collect::<BTreeSet<_>>(), found);
        assert!(EVENT_TYPES.is_sorted());
    }

    #[test]
    fn a_pattern_is_everything_a_family_or_a_type() {
        for pattern in ["*", "handoff.*", "handoff.accepted"] {
            assert!(is_pattern(pattern) && matches(pattern, "handoff.accepted"), "{pattern}");
        }
        for pattern in ["", "hand*", "nothing.*", "handoff.", "handoff.accept", "**", "token.issued", TEST] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
        assert!(!matches("lead.*", "list.created") && !matches("lead.lost", "lead.lost_sight"));
    }
}
