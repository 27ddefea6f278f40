//! What is said in `graphql-transport-ws`, and the codes that end it.
//!
//! The protocol: <https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md>.

use crate::http::params::Params;
use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde_json::{Map, Value};

/// Why a socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl End {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The process stops; a client connects again, to one that stays.
    pub(super) fn going_away() -> Self {
        Self::new(1001, "going away")
    }

    /// A message is larger than a body may be.
    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(1009, format!("a message is larger than {limit} bytes"))
    }

    /// What was said is not of the protocol.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new(4400, why)
    }

    /// An operation before the session is open.
    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// The credentials are refused.
    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(4403, why)
    }

    /// The credentials could not be looked at: a passing trouble, after which clients come back by themselves.
    pub(super) fn unchecked() -> Self {
        Self::new(1013, "the token could not be checked")
    }

    /// The client did not read what was said to it. A code after which clients come back by themselves: what they missed is
    /// there to be read.
    pub(super) fn too_slow() -> Self {
        Self::new(1013, "what was sent was not read in time; connect again, and read what you missed")
    }

    /// The client speaks another protocol.
    pub(super) fn protocol() -> Self {
        Self::new(4406, format!("Subprotocol not acceptable; ask for {}", super::PROTOCOL))
    }

    /// Nobody said who they are in time.
    pub(super) fn too_late() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    /// The id of an operation that is not over.
    pub(super) fn duplicate(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }

    /// The session is opened a second time.
    pub(super) fn second_init() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    /// The frame that says so. A reason has at most 123 bytes (RFC 6455, 5.5).
    pub(super) fn frame(self) -> CloseFrame {
        let mut reason = self.reason;
        let cut = (0..=123).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or_default();
        reason.truncate(cut);
        CloseFrame { code: self.code, reason: reason.into() }
    }
}

/// What a client says.
#[derive(Debug)]
pub(super) enum Heard {
    /// Who it is.
    Init(Map<String, Value>),
    /// Whether somebody is there.
    Ping(Option<Value>),
    /// That it is there.
    Pong,
    /// An operation to run.
    Subscribe(String, Params),
    /// That it no longer wants an operation.
    Complete(String),
}

impl Heard {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Result<Self, End> {
        let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
            return Err(End::invalid("a message must be one JSON object"));
        };
        let payload = message.remove("payload").filter(|payload| !payload.is_null());
        let id = match message.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            None => None,
            Some(_) => return Err(End::invalid("`id` must be a text that is not empty")),
        };
        let id = || id.ok_or_else(|| End::invalid("`id` is missing"));
        match message.get("type").and_then(Value::as_str) {
            Some("connection_init") => match payload {
                None => Ok(Self::Init(Map::new())),
                Some(Value::Object(payload)) => Ok(Self::Init(payload)),
                Some(_) => Err(End::invalid("the payload of connection_init must be an object")),
            },
            Some(kind @ ("ping" | "pong")) => match payload {
                Some(payload) if !payload.is_object() => {
                    Err(End::invalid(format!("the payload of {kind} must be an object")))
                }
                payload if kind == "ping" => Ok(Self::Ping(payload)),
                _ => Ok(Self::Pong),
            },
            Some("subscribe") => {
                let payload = payload.ok_or_else(|| End::invalid("`payload` is missing"))?;
                let params = Params::from_json(payload).map_err(|fault| End::invalid(fault.message()))?;
                Ok(Self::Subscribe(id()?, params))
            }
            Some("complete") => Ok(Self::Complete(id()?)),
            Some(kind) => Err(End::invalid(format!("`{kind}` is no message of a client"))),
            None => Err(End::invalid("`type` is missing")),
        }
    }
}

/// What the server says. The payloads are JSON already.
#[derive(Debug)]
pub(super) enum Said {
    /// The session is open.
    Ack,
    /// Somebody is there.
    Pong(Option<Value>),
    /// A result of an operation.
    Next(String),
    /// The operation was refused; nothing more comes of it.
    Error(String),
    /// The operation is over.
    Complete,
}

impl Said {
    /// Whether nothing more comes of the operation.
    pub(super) const fn is_last(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Complete)
    }

    /// The message, about the operation of this id where it is about one.
    pub(super) fn text(&self, id: &str) -> Utf8Bytes {
        let id = Value::from(id);
        match self {
            Self::Ack => r#"{"type":"connection_ack"}"#.into(),
            Self::Pong(None) => r#"{"type":"pong"}"#.into(),
            Self::Pong(Some(payload)) => format!(r#"{{"type":"pong","payload":{payload}}}"#).into(),
            Self::Next(payload) => format!(r#"{{"id":{id},"type":"next","payload":{payload}}}"#).into(),
            Self::Error(payload) => format!(r#"{{"id":{id},"type":"error","payload":{payload}}}"#).into(),
            Self::Complete => format!(r#"{{"id":{id},"type":"complete"}}"#).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let frame = End::invalid("é".repeat(100)).frame();
        assert_eq!(frame.reason.len(), 122);
        assert_eq!(End::unauthorized().frame().reason.as_str(), "Unauthorized");
    }
}
