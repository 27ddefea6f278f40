//! A document as it was written: every value with its place, so that a problem can name it.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// One value of the document.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Line and column, from 1.
    place: (usize, usize),
    node: Node,
}

#[derive(Debug, Clone)]
enum Node {
    Scalar(Value),
    List(Vec<Tree>),
    /// Keys with their places, and the values.
    Map(Vec<(String, (usize, usize), Tree)>),
}

impl Tree {
    /// The value without its places.
    pub(crate) fn value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Node::Map(entries) => {
                Value::Object(entries.iter().map(|(key, _, value)| (key.clone(), value.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// Line and column of the first text, or key, that holds the character NUL.
    pub(crate) fn nul(&self) -> Option<(usize, usize)> {
        match &self.node {
            Node::Scalar(value) => value.as_str().filter(|text| text.contains('\0')).map(|_| self.place),
            Node::List(items) => items.iter().find_map(Self::nul),
            Node::Map(entries) => entries
                .iter()
                .find_map(|(key, place, value)| if key.contains('\0') { Some(*place) } else { value.nul() }),
        }
    }

    /// Line and column of the value at `path` (`steps[3].template.subject`), or of the nearest value that holds it.
    pub(crate) fn place_of(&self, path: &str) -> (usize, usize) {
        self.places_of(path).1
    }

    /// Line and column of the last key of `path`, or of the nearest value that holds it.
    pub(crate) fn key_place_of(&self, path: &str) -> (usize, usize) {
        self.places_of(path).0
    }

    fn places_of(&self, path: &str) -> ((usize, usize), (usize, usize)) {
        let (mut at, mut key_place) = (self, self.place);
        for part in path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty()) {
            let inner = match &at.node {
                Node::Map(entries) => {
                    entries.iter().find(|(key, ..)| key == part).map(|(_, place, value)| (*place, value))
                }
                Node::List(items) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item.place, item))
                }
                Node::Scalar(_) => None,
            };
            match inner {
                Some((place, inner)) => (key_place, at) = (place, inner),
                None => break,
            }
        }
        (key_place, at.place)
    }
}

fn place(at: &Location) -> (usize, usize) {
    let at_least_one = |number: u64| usize::try_from(number).unwrap_or(1).max(1);
    (at_least_one(at.line()), at_least_one(at.column()))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { place: place(&spanned.referenced), node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Seen)
    }
}

struct Seen;

impl<'de> Visitor<'de> for Seen {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Tree>()? {
            map.push((key.value, place(&key.referenced), value));
        }
        Ok(Node::Map(map))
    }
}
