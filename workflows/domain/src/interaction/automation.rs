//! What tells machines from people: crawlers by what they call themselves, link scanners by how they behave.

use crate::codes;
use chrono::{DateTime, TimeDelta, Utc};
use isbot::Bots;
use std::sync::LazyLock;

codes! {
    /// Why an interaction was no person's.
    pub enum Automation("automation") {
        /// The agent calls itself a crawler, a monitor, a preview or a script.
        Bot = "BOT",
        /// A mail gateway followed the link or fetched the picture before anybody could have.
        LinkScanner = "LINK_SCANNER",
    }
}

/// How soon after the delivery nobody has read an e-mail yet. Gateways follow all links of what they let through within
/// seconds of taking it.
pub const TOO_SOON: TimeDelta = TimeDelta::seconds(10);

/// The public list of what crawlers call themselves, which the crate keeps.
static BOTS: LazyLock<Bots> = LazyLock::new(Bots::default);

/// What gateways that check links call themselves, where they do.
const SCANNERS: [&str; 8] =
    ["barracuda", "mimecast", "proofpoint", "safelinks", "trendmicro", "fireeye", "ironport", "symantec"];

/// Whether somebody's agent says that it is no person.
pub fn by_agent(user_agent: Option<&str>) -> Option<Automation> {
    // A client library's own name says nothing about who used the page that it reports.
    let agent = user_agent.map(str::trim).filter(|agent| !agent.is_empty())?;
    let bounded: String = agent.chars().take(500).collect();
    let small = bounded.to_lowercase();
    if SCANNERS.iter().any(|name| small.contains(name)) {
        return Some(Automation::LinkScanner);
    }
    BOTS.is_bot(&bounded).then_some(Automation::Bot)
}

/// Whether an open or click of an e-mail was no person's: by the agent, by its method, by how soon it came.
pub fn of_mail(
    user_agent: Option<&str>,
    only_looked: bool,
    sent_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Option<Automation> {
    let too_soon = sent_at.is_some_and(|sent| at - sent < TOO_SOON);
    by_agent(user_agent).or_else(|| (only_looked || too_soon).then_some(Automation::LinkScanner))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

    #[test]
    fn agents_that_say_what_they_are_are_told_apart() {
        let googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        assert_eq!(by_agent(Some(googlebot)), Some(Automation::Bot));
        assert_eq!(by_agent(Some("BarracudaCentral link check")), Some(Automation::LinkScanner));
        assert_eq!([by_agent(Some(CHROME)), by_agent(Some(" ")), by_agent(None)], [None; 3]);
    }

    #[test]
    fn nobody_clicks_within_seconds_of_the_delivery() {
        let sent = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let after = |seconds| of_mail(Some(CHROME), false, Some(sent), sent + TimeDelta::seconds(seconds));
        assert_eq!((after(9), after(10)), (Some(Automation::LinkScanner), None));
        assert_eq!(of_mail(Some(CHROME), true, None, sent), Some(Automation::LinkScanner));
    }
}
