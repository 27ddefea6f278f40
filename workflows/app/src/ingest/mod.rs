//! Events that analytics SDKs send: their senders, taking them in, and what they make known.

mod applying;
mod definition;
mod people;
mod receiving;

pub use applying::EventsApply;
pub use definition::{EventSourceRotateKey, EventSourceSave, WRITE_KEY_PREFIX};
pub use receiving::{EventsReceive, Parcel};
