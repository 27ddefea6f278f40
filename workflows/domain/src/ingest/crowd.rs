//! Whose events are whose: visitors by their keys, and when two of them are one.
//!
//! A device's key becomes its first user's, with everything that was done on it before. A second user of the same device
//! does not take that over: events that name a user are that user's, whatever the device.

use super::{Trust, Visitor, anonymous_key, user_key};
use crate::id::{AccountId, ContactId, VisitorId};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// The keys that an event is about: at least one of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keys {
    /// The device's or browser's.
    pub anonymous: Option<String>,
    /// The signed-in user's.
    pub user: Option<String>,
}

impl Keys {
    /// The keys for the ids of an event, in the user system of its source.
    pub fn of(anonymous: Option<&str>, user: Option<&str>, system: &str) -> Self {
        Self { anonymous: anonymous.map(anonymous_key), user: user.map(|user| user_key(system, user)) }
    }

    /// Both, as far as there are any.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.anonymous.iter().chain(&self.user)
    }
}

/// The two are known to be different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event makes one of two people that are known to be different")]
pub struct Different;

/// The visitors that some events are about, and what those events changed of them.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    visitors: BTreeMap<VisitorId, Visitor>,
    keys: BTreeMap<String, VisitorId>,
    new_keys: BTreeSet<String>,
    changed: BTreeSet<VisitorId>,
    identified: BTreeSet<VisitorId>,
    merged: Vec<(VisitorId, VisitorId)>,
}

/// What changed of a crowd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The visitors that are new or changed.
    pub visitors: Vec<Visitor>,
    /// The keys that are new, and whose they are.
    pub keys: Vec<(String, VisitorId)>,
    /// Visitors that were found to be another one: from, to.
    pub merged: Vec<(VisitorId, VisitorId)>,
    /// The visitors of whom it became known who they are.
    pub identified: Vec<VisitorId>,
}

impl Crowd {
    /// The visitors that have some of the keys.
    pub fn new(known: impl IntoIterator<Item = (String, Visitor)>) -> Self {
        let mut crowd = Self::default();
        for (key, visitor) in known {
            crowd.keys.insert(key, visitor.id);
            crowd.visitors.insert(visitor.id, visitor);
        }
        crowd
    }

    /// Whose key it is.
    pub fn holder(&self, key: &str) -> Option<&Visitor> {
        self.visitors.get(self.keys.get(key)?)
    }

    /// The visitor with this id.
    pub fn get(&self, id: VisitorId) -> Option<&Visitor> {
        self.visitors.get(&id)
    }

    /// Everybody.
    pub fn visitors(&self) -> impl Iterator<Item = &Visitor> {
        self.visitors.values()
    }

    fn give(&mut self, key: &str, to: VisitorId) {
        self.keys.insert(key.to_owned(), to);
        self.new_keys.insert(key.to_owned());
    }

    fn come(&mut self, id: VisitorId, is_user: bool, at: DateTime<Utc>) -> VisitorId {
        self.visitors.insert(
            id,
            Visitor { id, contact: None, account: None, named_by: Trust::Browser, is_user, first_seen_at: at },
        );
        self.changed.insert(id);
        id
    }

    /// The visitor that an event with these keys is about; `fresh` is its id where it is a new one. None without a key.
    pub fn meet(&mut self, keys: &Keys, fresh: VisitorId, at: DateTime<Utc>) -> Option<VisitorId> {
        let holder = |key: &Option<String>| self.keys.get(key.as_ref()?).copied();
        let (device, user) = (holder(&keys.anonymous), holder(&keys.user));
        let Some(user_key) = &keys.user else {
            let anonymous = keys.anonymous.as_ref()?;
            return Some(device.unwrap_or_else(|| {
                let id = self.come(fresh, false, at);
                self.give(anonymous, id);
                id
            }));
        };
        let free = device.filter(|device| self.visitors.get(device).is_some_and(|visitor| !visitor.is_user));
        let user = match (user, free) {
            (Some(user), Some(device)) => {
                // Where a form told that they are two people, they stay two.
                let _ = self.merge(device, user);
                user
            }
            (Some(user), None) => user,
            (None, Some(device)) => {
                self.give(user_key, device);
                if let Some(visitor) = self.visitors.get_mut(&device) {
                    visitor.is_user = true;
                }
                self.changed.insert(device);
                device
            }
            (None, None) => {
                let id = self.come(fresh, true, at);
                self.give(user_key, id);
                id
            }
        };
        if let (Some(anonymous), None) = (&keys.anonymous, device) {
            self.give(anonymous, user);
        }
        Some(user)
    }

    /// The sender says that the holder of an earlier id is this user.
    pub fn alias(&mut self, previous: &str, system: &str, user: VisitorId) -> Result<(), Different> {
        let keys = [user_key(system, previous), anonymous_key(previous)];
        match keys.iter().find_map(|key| self.keys.get(key).copied()) {
            Some(before) => self.merge(before, user),
            None => {
                let [_, anonymous] = keys;
                self.give(&anonymous, user);
                Ok(())
            }
        }
    }

    fn merge(&mut self, from: VisitorId, to: VisitorId) -> Result<(), Different> {
        let (Some(gone), Some(stays)) = (self.visitors.get(&from).cloned(), self.visitors.get(&to).cloned()) else {
            return Ok(());
        };
        if from == to {
            return Ok(());
        }
        if gone.contact.zip(stays.contact).is_some_and(|(one, other)| one != other) {
            return Err(Different);
        }
        self.visitors.remove(&from);
        for (key, _) in self.keys.iter().filter(|(_, holder)| **holder == from) {
            self.new_keys.insert(key.clone());
        }
        for holder in self.keys.values_mut().filter(|holder| **holder == from) {
            *holder = to;
        }
        if let Some(visitor) = self.visitors.get_mut(&to) {
            visitor.first_seen_at = gone.first_seen_at.min(stays.first_seen_at);
            if stays.contact.is_none() {
                (visitor.contact, visitor.account, visitor.named_by) = (gone.contact, gone.account, gone.named_by);
            }
        }
        // Also where only one of the two was known: the other's past is that person's now.
        if gone.contact.or(stays.contact).is_some() {
            self.identified.insert(to);
        }
        self.changed.remove(&from);
        self.identified.remove(&from);
        self.changed.insert(to);
        self.merged.push((from, to));
        Ok(())
    }

    /// It became known who a visitor is, from a sender that is believed so far. What a page that anybody can read said, a
    /// server of ours puts right; nothing else makes one person of another.
    pub fn know(
        &mut self,
        id: VisitorId,
        (contact, account): (ContactId, Option<AccountId>),
        by: Trust,
    ) -> Result<(), Different> {
        let Some(visitor) = self.visitors.get_mut(&id) else { return Ok(()) };
        let may_differ = by == Trust::Server && visitor.named_by == Trust::Browser;
        match visitor.contact {
            Some(known) if known != contact && !may_differ => Err(Different),
            Some(known) if known == contact => {
                if may_differ {
                    visitor.named_by = by;
                    self.changed.insert(id);
                }
                Ok(())
            }
            _ => {
                (visitor.contact, visitor.account, visitor.named_by) = (Some(contact), account, by);
                self.changed.insert(id);
                self.identified.insert(id);
                Ok(())
            }
        }
    }

    /// What changed.
    pub fn close(self) -> (Changes, BTreeMap<VisitorId, Visitor>) {
        let visitors = self.changed.iter().filter_map(|id| self.visitors.get(id).cloned()).collect();
        let key = |key: String| self.keys.get(&key).copied().map(|holder| (key, holder));
        let keys = self.new_keys.into_iter().filter_map(key).collect();
        let identified = self.identified.into_iter().collect();
        (Changes { visitors, keys, merged: self.merged, identified }, self.visitors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(number: u128) -> VisitorId {
        Uuid::from_u128(number).into()
    }

    fn person(number: u128) -> ContactId {
        Uuid::from_u128(number).into()
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn keys(anonymous: &str, user: &str) -> Keys {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let (anonymous, user) = (anonymous.to_owned().leak(), user.to_owned().leak());
        Keys::of(some(anonymous), some(user), "app")
    }

    #[test]
    fn what_a_visitor_did_before_signing_in_is_the_users() {
        let mut crowd = Crowd::default();
        let before = crowd.meet(&keys("a", ""), id(1), at()).unwrap();
        let after = crowd.meet(&keys("a", "u"), id(2), at()).unwrap();
        assert_eq!(before, after);
        crowd.know(after, (person(9), None), Trust::Server).unwrap();
        let (changes, _) = crowd.close();
        assert_eq!((changes.visitors.len(), changes.keys.len()), (1, 2));
        assert_eq!(changes.identified, [id(1)]);
    }

    #[test]
    fn a_new_device_of_a_known_user_brings_its_past_along() {
        let mut crowd = Crowd::default();
        let user = crowd.meet(&keys("", "u"), id(1), at()).unwrap();
        crowd.know(user, (person(9), None), Trust::Server).unwrap();
        crowd.meet(&keys("b", ""), id(2), at()).unwrap();
        assert_eq!(crowd.meet(&keys("b", "u"), id(3), at()), Some(user));
        let (changes, visitors) = crowd.close();
        assert_eq!(changes.merged, [(id(2), id(1))]);
        assert_eq!((changes.identified, visitors.len()), (vec![id(1)], 1));
        assert!(changes.visitors.iter().all(|visitor| visitor.id == id(1)));
    }

    #[test]
    fn the_second_user_of_a_device_does_not_take_over_the_first() {
        let mut crowd = Crowd::default();
        let first = crowd.meet(&keys("a", "u"), id(1), at()).unwrap();
        let second = crowd.meet(&keys("a", "v"), id(2), at()).unwrap();
        assert_ne!(first, second);
        assert_eq!(crowd.meet(&keys("a", ""), id(3), at()), Some(first));
        assert_eq!(crowd.meet(&keys("a", "v"), id(4), at()), Some(second));
    }

    #[test]
    fn a_server_puts_right_what_a_page_said_and_not_the_other_way_round() {
        let mut crowd = Crowd::default();
        let user = crowd.meet(&keys("", "u"), id(1), at()).unwrap();
        crowd.know(user, (person(8), None), Trust::Browser).unwrap();
        assert_eq!(crowd.know(user, (person(9), None), Trust::Browser), Err(Different));
        crowd.know(user, (person(9), None), Trust::Server).unwrap();
        assert_eq!(crowd.know(user, (person(8), None), Trust::Browser), Err(Different));
        assert_eq!(crowd.know(user, (person(8), None), Trust::Server), Err(Different));
        assert_eq!(crowd.get(user).unwrap().contact, Some(person(9)));
    }

    #[test]
    fn an_alias_joins_two_unless_they_are_known_to_differ() {
        let mut crowd = Crowd::default();
        let (u, v) =
            (crowd.meet(&keys("", "u"), id(1), at()).unwrap(), crowd.meet(&keys("", "v"), id(2), at()).unwrap());
        let w = crowd.meet(&keys("", "w"), id(3), at()).unwrap();
        crowd.know(u, (person(8), None), Trust::Server).unwrap();
        crowd.know(w, (person(9), None), Trust::Server).unwrap();
        crowd.alias("v", "app", u).unwrap();
        assert_eq!(crowd.meet(&keys("", "v"), id(5), at()), Some(u));
        assert_eq!(crowd.alias("w", "app", u), Err(Different));
        crowd.alias("device", "app", u).unwrap();
        assert_eq!(crowd.meet(&keys("device", ""), id(6), at()), Some(u));
        assert_eq!(crowd.get(v), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever arrives in whatever order: a key leads to a visitor that is there, whoever was known stays who it is,
        /// and one user is never two.
        #[test]
        fn nobody_is_lost_and_nobody_becomes_somebody_else(
            events in proptest::collection::vec((0..4usize, 0..4usize, 0..5usize), 1..40)
        ) {
            let names = ["", "a", "b", "c"];
            let mut crowd = Crowd::default();
            let mut known: BTreeMap<String, ContactId> = BTreeMap::new();
            for (number, (anonymous, user, act)) in events.into_iter().enumerate() {
                let keys = keys(names[anonymous], names[user]);
                let fresh = id(100 + number as u128);
                let Some(met) = crowd.meet(&keys, fresh, at()) else {
                    prop_assert_eq!(anonymous + user, 0);
                    continue;
                };
                if let Some(key) = &keys.user {
                    prop_assert_eq!(crowd.holder(key).map(|visitor| visitor.id), Some(met));
                }
                if act < 3 && user > 0 && crowd.know(met, (person(act as u128), None), Trust::Server).is_ok() {
                    known.insert(keys.user.clone().unwrap(), person(act as u128));
                }
                if act == 3 && user > 0 {
                    let _ = crowd.alias(names[anonymous.max(1)], "app", met);
                }
                for (key, contact) in &known {
                    prop_assert_eq!(crowd.holder(key).and_then(|visitor| visitor.contact), Some(*contact), "{}", key);
                }
            }
            let (changes, visitors) = crowd.close();
            for (key, holder) in &changes.keys {
                prop_assert!(visitors.contains_key(holder), "{}", key);
            }
            prop_assert!(changes.merged.iter().all(|(from, to)| from != to && !visitors.contains_key(from)));
        }
    }
}
