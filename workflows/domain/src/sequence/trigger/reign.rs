//! Which version of a sequence listened where in the ledger.

use crate::ledger::Entry;
use crate::sequence::SequenceState;
use serde_json::Value;

/// A stretch of the ledger over which a sequence was active and a version was its newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reign {
    /// The number of the version.
    pub number: u32,
    /// Behind this place.
    pub from: i64,
    /// Up to this place.
    pub to: i64,
}

/// Who listened behind one place and up to another, in the order of the places; nobody where the sequence was a draft, paused or
/// archived. The entry that publishes or resumes comes before what is heard from then on, the one that pauses behind it.
///
/// `told` are all entries of the sequence about itself behind `from`, in their order, also those behind `to`: what the sequence was
/// before is told by what became of it. `now` is its state and the number of its newest version after all of them.
pub fn reigns(told: &[&Entry], now: (SequenceState, u32), (from, to): (i64, i64)) -> Vec<Reign> {
    let number = |entry: &Entry| -> Option<u32> {
        let number =
            entry.detail.get("number").filter(|_| entry.kind == "sequence.published").and_then(Value::as_u64)?;
        u32::try_from(number).ok()
    };
    let state = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<SequenceState>().ok());
    let mut reigning = told.iter().find_map(|entry| number(entry)).map_or(now.1, |first| first.saturating_sub(1));
    let mut standing = told.first().and_then(|first| state(&first.state_before)).unwrap_or(now.0);
    let (mut reigns, mut begin) = (Vec::new(), from);
    for entry in told {
        let end = entry.seq.min(to);
        if standing == SequenceState::Active && reigning > 0 && begin < end {
            reigns.push(Reign { number: reigning, from: begin, to: end });
        }
        begin = begin.max(end);
        standing = state(&entry.state_after).unwrap_or(standing);
        reigning = number(entry).unwrap_or(reigning);
    }
    if standing == SequenceState::Active && reigning > 0 && begin < to {
        reigns.push(Reign { number: reigning, from: begin, to });
    }
    reigns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Fact;
    use crate::id::SequenceId;
    use crate::ledger::Stamp;
    use SequenceState::{Active, Archived, Draft, Paused};
    use proptest::prelude::*;
    use uuid::Uuid;

    /// What is done to a sequence, where it can be: published, paused or resumed, archived.
    #[derive(Debug, Clone, Copy)]
    enum Deed {
        Publish,
        Turn,
        Archive,
        /// Something else happens.
        Other,
    }

    fn entry(seq: i64, kind: &'static str, states: (SequenceState, SequenceState), number: Option<u32>) -> Entry {
        let now = chrono::DateTime::from_timestamp_millis(0).unwrap();
        let stamp = Stamp {
            actor: None,
            role: "SYSTEM".to_owned(),
            side: None,
            at: now,
            recorded_at: now,
            request_id: "r".to_owned(),
            idempotency_key: None,
            trace: None,
        };
        let fact = Fact::audit(kind, SequenceId(Uuid::from_u128(1))).moved(states.0, states.1);
        let fact = if let Some(number) = number { fact.with("number", number) } else { fact };
        Entry::new(seq, &stamp, &fact)
    }

    /// The entries of the sequence, and by place (the first is 0) what it was behind it.
    fn play(deeds: &[Deed]) -> (Vec<Entry>, Vec<(SequenceState, u32)>) {
        let (mut entries, mut states) = (Vec::new(), vec![(Draft, 0)]);
        for (deed, seq) in deeds.iter().zip(1..) {
            let (state, number) = *states.last().unwrap();
            let (kind, next, number) = match (deed, state) {
                (Deed::Publish, Draft | Active) => ("sequence.published", Active, number + 1),
                (Deed::Publish, Paused) => ("sequence.published", Paused, number + 1),
                (Deed::Turn, Active) => ("sequence.paused", Paused, number),
                (Deed::Turn, Paused) => ("sequence.resumed", Active, number),
                (Deed::Archive, Draft | Active | Paused) => ("sequence.archived", Archived, number),
                _ => {
                    states.push((state, number));
                    continue;
                }
            };
            let published = (kind == "sequence.published").then_some(number);
            entries.push(entry(seq, kind, (state, next), published));
            states.push((next, number));
        }
        (entries, states)
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            3 => Just(Deed::Publish),
            4 => Just(Deed::Turn),
            1 => Just(Deed::Archive),
            8 => Just(Deed::Other),
        ]
    }

    proptest! {
        /// However the ledger is cut into parts, and however far it has grown meanwhile, a place is heard by the version that was
        /// the newest before it, where the sequence was active before it, and by no other.
        #[test]
        fn whoever_was_there_before_hears_it(deeds in prop::collection::vec(deed(), 1..60), cut in 0_usize..60, part in 1_usize..20) {
            let (entries, states) = play(&deeds);
            let from = i64::try_from(cut.min(deeds.len() - 1)).unwrap();
            let to = (from + i64::try_from(part).unwrap()).min(i64::try_from(deeds.len()).unwrap());
            let told: Vec<&Entry> = entries.iter().filter(|entry| entry.seq > from).collect();
            let reigns = reigns(&told, *states.last().unwrap(), (from, to));
            for place in from + 1..=to {
                let before = states[usize::try_from(place - 1).unwrap()];
                let listens = (before.0 == Active).then_some(before.1);
                let heard: Vec<u32> = reigns.iter().filter(|one| one.from < place && place <= one.to).map(|one| one.number).collect();
                prop_assert_eq!(heard, listens.into_iter().collect::<Vec<_>>(), "place {} in {:?}", place, reigns);
            }
            prop_assert!(reigns.iter().all(|one| from <= one.from && one.to <= to));
        }
    }
}
