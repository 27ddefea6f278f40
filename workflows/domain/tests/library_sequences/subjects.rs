//! Whom the programmes are tried with, and what comes about for them.

use super::drive::Happens::{self, Becomes, CallFails, Did, Opportunity, Replies, Task, Unsubscribes};
use super::drive::Subject;
use serde_json::{Value, json};
use tandem_domain::interaction::InteractionKind as Kind;
use tandem_domain::sequence::enrollment::TaskEnd as End;

fn subject(name: &'static str) -> Subject {
    Subject { name, data: Vec::new(), vars: json!({}), script: Vec::new() }
}

impl Subject {
    fn with(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.data.push((pointer, value.into()));
        self
    }

    fn vars(mut self, vars: Value) -> Self {
        self.vars = vars;
        self
    }

    fn at(mut self, step: &'static str, happens: Happens) -> Self {
        self.script.push((step, happens));
        self
    }

    fn no_answer(self, step: &'static str) -> Self {
        self.at(step, Task(End::NoAnswer))
    }
}

const PHONE: &str = "+4930123456";
const UNKNOWN: &str = "UNKNOWN";

/// The subjects of a programme.
pub fn of(key: &str) -> Vec<Subject> {
    match key {
        "demo_request" => demo_request(),
        "tier_one" => tier_one(),
        "event_follow_up" => event_follow_up(),
        "content_download" => content_download(),
        "recycle_by_reason" => recycle_by_reason(),
        "dormant_reactivation" => dormant_reactivation(),
        "no_show" => no_show(),
        "closed_lost" => closed_lost(),
        "onboarding" => onboarding(),
        "partner_referral" => partner_referral(),
        "welcome" => vec![
            subject("does not answer and has no phone"),
            subject("has a phone").with("/contact/phone", PHONE),
            subject("answers the guide").at("think", Replies),
        ],
        other => panic!("nobody is there for {other}"),
    }
}

fn demo_request() -> Vec<Subject> {
    vec![
        subject("is reached at once").with("/contact/phone", PHONE).at("call", Task(End::Interested)),
        subject("agrees on a meeting at the phone").at("call", Task(End::MeetingBooked)),
        subject("books by the link").no_answer("call").at("answer", Did(Kind::Meeting, "Demo")),
        subject("books before anybody has called").at("confirm", Did(Kind::Meeting, "Demo")),
        subject("answers the last e-mail")
            .no_answer("call")
            .no_answer("call_again")
            .at("last_answer", Did(Kind::EmailReply, "Re: The demo stays open")),
        subject("is never reached").no_answer("call").no_answer("call_again"),
        subject("nobody calls, and the chat does not answer").at("tell", CallFails).at("slow", CallFails),
        subject("asks to be called later").at("call", Task(End::CallBack)).at("call_again", Task(End::Done)),
        subject("only wanted the price").at("call", Task(End::NotInterested)),
        subject("gave a wrong number").at("call", Task(End::BadData)),
        subject("has not agreed to e-mails")
            .with("/contact/consent", UNKNOWN)
            .no_answer("call")
            .no_answer("call_again"),
        subject("unsubscribes").no_answer("call").at("answer", Unsubscribes),
        subject("is taken up by sales")
            .no_answer("call")
            .with("/lead/stage", "RECEIVED")
            .at("answer", Becomes("/lead/stage", json!("DISPATCHED"))),
    ]
}

fn tier_one() -> Vec<Subject> {
    let angle = ("/account/custom/angle", "You open a second plant this year, and one team answers for both.");
    let known = |name| subject(name).with(angle.0, angle.1);
    vec![
        known("reads and is interested")
            .with("/contact/title", "Operations planner")
            .at("research", Task(End::Done))
            .at("notices", Did(Kind::EmailClick, "The half page"))
            .at("call", Task(End::Interested)),
        known("is a chief and answers nothing")
            .with("/contact/title", "Chief Operating Officer")
            .at("research", Task(End::Done))
            .at("letter", Task(End::Done))
            .no_answer("call")
            .no_answer("call_again"),
        known("is a director in Chinese, and says no")
            .with("/contact/title", "运营总监")
            .at("research", Task(End::Done))
            .at("letter", Task(End::Cancelled))
            .at("call", Task(End::NotInterested)),
        known("comes back after the last e-mail")
            .with("/contact/title", "Planner")
            .at("research", Task(End::Done))
            .no_answer("call")
            .at("reads", Did(Kind::Download, "How to begin"))
            .no_answer("call_again")
            .at("afterwards", Did(Kind::Form, "Question")),
        known("is the wrong person").at("research", Task(End::BadData)),
        subject("nobody found anything to write about")
            .with("/contact/title", "Planner")
            .at("research", Task(End::Cancelled))
            .at("call", Task(End::MeetingBooked)),
        known("a colleague's opportunity is opened")
            .with("/contact/title", "Planner")
            .at("research", Task(End::Done))
            .at("notices", Opportunity),
        known("answers the first e-mail").at("research", Task(End::Done)).at("notices", Replies),
    ]
}

fn event_follow_up() -> Vec<Subject> {
    let came = || json!({"event": "Spring Forum", "came": "true"});
    let absent = || json!({"event": "Spring Forum"});
    vec![
        subject("came, reads on and is interested")
            .with("/contact/phone", PHONE)
            .vars(came())
            .at("looks", Did(Kind::Download, "Slides"))
            .at("call", Task(End::Interested)),
        subject("came and has no phone").vars(came()),
        subject("came, is not reached, and asks later")
            .with("/contact/phone", PHONE)
            .vars(came())
            .no_answer("call")
            .at("late_looks", Did(Kind::Form, "Question")),
        subject("came with a wrong number").with("/contact/phone", PHONE).vars(came()).at("call", Task(End::BadData)),
        subject("came and books a meeting").vars(came()).at("looks", Did(Kind::Meeting, "First talk")),
        subject("did not come and watches").vars(absent()).at("watches", Did(Kind::EmailClick, "Recording")),
        subject("did not come and does not watch").vars(absent()),
        subject("answers the thanks").vars(came()).at("looks", Replies),
    ]
}

fn content_download() -> Vec<Subject> {
    let paper = || json!({"paper": "One list, two owners"});
    vec![
        subject("takes a second paper").vars(paper()).at("interest", Did(Kind::Download, "The first four weeks")),
        subject("does not react").vars(paper()),
        subject("does not react either").vars(paper()),
        subject("asks after the last e-mail").vars(paper()).at("late_interest", Did(Kind::Form, "Question")),
        subject("answers").vars(paper()).at("interest", Replies),
        subject("has a grade").vars(paper()).with("/lead/stage", "RECEIVED").with("/lead/grade", "A1"),
        subject("books a meeting").vars(paper()).at("interest", Did(Kind::Meeting, "First talk")),
    ]
}

fn recycle_by_reason() -> Vec<Subject> {
    let back = |name, why: &str| subject(name).with("/lead/stage", "RETURNED").vars(json!({ "why": why }));
    let reviewed = |name, why: &str| back(name, why).at("review", Becomes("/lead/stage", json!("RECYCLED")));
    vec![
        reviewed("had no time", "BAD_TIMING"),
        reviewed("had no time and comes back", "BAD_TIMING").at("timing_long", Did(Kind::Form, "Question")),
        reviewed("had no budget", "NO_BUDGET").no_answer("money_call"),
        reviewed("had no budget and has one now", "NO_BUDGET").at("money_call", Task(End::Interested)),
        reviewed("did not answer", "NO_RESPONSE").no_answer("silence_social"),
        reviewed("answers at last", "NO_RESPONSE").no_answer("silence_social").at("silence_wait", Replies),
        reviewed("does not want it", "NO_RESPONSE").at("silence_social", Task(End::NotInterested)),
        reviewed("cannot decide", "NO_AUTHORITY").at("right_person", Task(End::Done)),
        reviewed("has no need", "NO_NEED"),
        back("the manager sends on to somebody else", "BAD_TIMING")
            .at("review", Becomes("/lead/stage", json!("DISPATCHED"))),
        back("nobody says what becomes of it", "BAD_TIMING"),
        reviewed("the day has come meanwhile", "BAD_TIMING").at("timing_long", Becomes("/lead/stage", json!("QUEUED"))),
        subject("an SDR put aside").with("/lead/stage", "RECYCLED").vars(json!({"why": ""})),
    ]
}

fn dormant_reactivation() -> Vec<Subject> {
    vec![
        subject("clicks at once").at("reacts", Did(Kind::EmailClick, "Stay")),
        subject("fills in a form at the second e-mail").at("reacts_late", Did(Kind::Form, "Question")),
        subject("does nothing"),
        subject("unsubscribes").at("reacts", Unsubscribes),
    ]
}

fn no_show() -> Vec<Subject> {
    let meeting = || json!({"meeting": "First talk, 9:00."});
    vec![
        subject("books again within the hour").vars(meeting()).at("same_day", Did(Kind::Meeting, "First talk")),
        subject("is reached the next day").vars(meeting()).at("call", Task(End::MeetingBooked)),
        subject("is not reached").vars(meeting()).no_answer("call"),
        subject("does not want it any more").at("call", Task(End::NotInterested)),
        subject("has another number now").at("call", Task(End::BadData)),
        subject("answers").at("same_day", Replies),
    ]
}

fn closed_lost() -> Vec<Subject> {
    let lost = |name| subject(name).with("/contact/custom/lost_on", "2025-09-01");
    vec![
        subject("was lost today").with("/lead/stage", "LOST").vars(json!({"noting": "true"})),
        lost("comes to the fair").at("reacts", Did(Kind::CheckIn, "Spring Forum")),
        lost("is called and interested").with("/contact/phone", PHONE).at("call", Task(End::Interested)),
        lost("is called and not reached").with("/contact/phone", PHONE).no_answer("call"),
        lost("has no phone and comes back").at("last_look", Did(Kind::Form, "Question")),
        lost("answers").at("reacts", Replies),
        lost("a colleague buys").at("reacts", Opportunity),
    ]
}

fn onboarding() -> Vec<Subject> {
    let won = |name| subject(name).with("/lead/stage", "WON");
    vec![
        won("books the kick-off")
            .at("welcome", Did(Kind::Meeting, "Kick-off"))
            .at("hand_over", Task(End::Done))
            .at("check", Task(End::Done)),
        won("does not book, and the hand-over is late").at("arrange", Task(End::Done)).at("check", Task(End::Done)),
        won("does not use it").at("hand_over", Task(End::Done)).at("arrange", Task(End::Done)).no_answer("check"),
        won("has not agreed to e-mails, and no chat answers")
            .with("/contact/consent", UNKNOWN)
            .at("tell", CallFails)
            .at("overdue", CallFails)
            .at("at_risk", CallFails),
    ]
}

fn partner_referral() -> Vec<Subject> {
    let referred = |name| {
        subject(name)
            .with("/lead/stage", "RECEIVED")
            .with("/lead/source", "partner:example")
            .with("/lead/custom/partner", "Example Partners")
    };
    vec![
        referred("answers, and buys")
            .at("answer", Did(Kind::EmailReply, "Re: we should speak"))
            .at("outcome", Becomes("/lead/stage", json!("WON"))),
        referred("is reached, and does not buy")
            .at("call", Task(End::Interested))
            .at("outcome", Becomes("/lead/stage", json!("LOST"))),
        referred("books after the second e-mail")
            .no_answer("call")
            .at("answer_again", Did(Kind::Meeting, "First talk"))
            .at("outcome", Becomes("/lead/stage", json!("DISQUALIFIED"))),
        referred("is never reached").no_answer("call").no_answer("last_call"),
        referred("has a wrong number, and the portal is down")
            .at("call", Task(End::BadData))
            .at("ask_partner", Task(End::Done))
            .no_answer("last_call")
            .at("tell_partner", CallFails),
        referred("does not want it").at("call", Task(End::NotInterested)),
        referred("has not agreed to e-mails")
            .with("/contact/consent", UNKNOWN)
            .no_answer("call")
            .no_answer("last_call"),
    ]
}
