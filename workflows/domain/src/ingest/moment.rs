//! The moments that senders tell: how they are written, and when an event happened by them.

use super::event::Fault;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

/// The first second of 2000, since the beginning of 1970. Numbers before it are no seconds (nor, times 1,000, milliseconds): so a
/// year such as 2026 and a date such as 20261129 are not read as moments of 1970.
const FIRST_SECOND: f64 = 946_684_800.0;
/// The first second of 2100: 20261129140000 is no number of milliseconds.
const END_SECOND: f64 = 4_102_444_800.0;
/// How far ahead of its arrival an event may lie and be taken for one that happened when it came: clocks and zones differ by that.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// A clock that is wrong by more than this, at a sender that waited for longer than this, is a `sentAt` that is wrong.
const LONG: TimeDelta = TimeDelta::days(366);

/// A moment that a sender told, as far as it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// Nothing was said.
    #[default]
    Untold,
    /// Something was said that is no moment, or one before 1970.
    Unreadable,
    /// To the millisecond.
    At(DateTime<Utc>),
}

impl Moment {
    /// Reads what a field holds: RFC 3339; a date with or without a time of day, which is UTC where it names no zone; or seconds or
    /// milliseconds since 1970, from 2000 to 2099, as a number or a text. Null and an empty text say nothing.
    pub fn read(value: Option<&Value>) -> Self {
        let read = match value {
            None | Some(Value::Null) => return Self::Untold,
            Some(Value::String(text)) if text.trim().is_empty() => return Self::Untold,
            Some(Value::String(text)) => of_text(text.trim()),
            Some(Value::Number(number)) => number.as_f64().and_then(of_number),
            Some(_) => None,
        };
        // A date that no calendar of ours shows is a mistake of the sender's.
        read.filter(|moment| (DateTime::UNIX_EPOCH..).contains(moment))
            .and_then(|moment| DateTime::from_timestamp_millis(moment.timestamp_millis()))
            .map_or(Self::Unreadable, Self::At)
    }

    const fn known(self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(at) => Some(at),
            Self::Untold | Self::Unreadable => None,
        }
    }
}

fn of_number(number: f64) -> Option<DateTime<Utc>> {
    let seconds = (FIRST_SECOND..END_SECOND).contains(&number).then_some(number);
    let seconds = seconds.or_else(|| Some(number / 1_000.0).filter(|s| (FIRST_SECOND..END_SECOND).contains(s)))?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    DateTime::from_timestamp_millis((seconds * 1_000.0).round() as i64)
}

fn of_text(text: &str) -> Option<DateTime<Utc>> {
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return of_number(text.parse().ok()?);
    }
    let zoned =
        || DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    if let Ok(moment) = zoned() {
        return Some(moment.to_utc());
    }
    let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let plain = plain.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    plain
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
        .map(|moment| moment.and_utc())
}

fn time_invalid(message: String) -> Fault {
    Fault::new("EVENT_TIME_INVALID", message)
}

/// When an event happened: by the sender's clock, set right by how far it was from ours when it sent; never later than it came. And
/// what of the sender's moments could not be used. `around` is the `sentAt` of the request.
/// Source: the Segment specification, `timestamp = receivedAt - (sentAt - originalTimestamp)`.
pub fn occurred(
    event: &Map<String, Value>,
    around: Moment,
    received_at: DateTime<Utc>,
) -> (DateTime<Utc>, Option<Fault>) {
    let mut fault = None;
    let told = ["originalTimestamp", "timestamp"].into_iter().find_map(|field| {
        let told = Moment::read(event.get(field));
        if told == Moment::Unreadable {
            fault.get_or_insert_with(|| {
                time_invalid(format!(
                    "`{field}` is no moment of ours: give RFC 3339, such as 2026-03-01T09:30:00Z, a date, or seconds or \
                     milliseconds since 1970; the event is taken for one of when it came unless another field says more"
                ))
            });
        }
        told.known()
    });
    let Some(told) = told else { return (received_at, fault) };
    let own = Moment::read(event.get("sentAt"));
    let sent = if own == Moment::Untold { around } else { own };
    let at = match sent {
        Moment::Untold => told,
        Moment::At(sent) => set_right(told, sent, received_at).unwrap_or_else(|| {
            fault.get_or_insert_with(|| {
                let message =
                    format!("with `sentAt` {sent} this would have happened at no time that can be; it was left out");
                Fault::new("EVENT_SENT_AT_INVALID", message)
            });
            told
        }),
        Moment::Unreadable => {
            let message = "`sentAt` is no moment that can be read; the sender's clock was not set right by it";
            fault.get_or_insert_with(|| Fault::new("EVENT_SENT_AT_INVALID", message));
            told
        }
    };
    if at > received_at + AHEAD {
        let message = format!("this would have happened at {at}, after it came; it is taken for one of when it came");
        fault.get_or_insert_with(|| time_invalid(message));
    }
    (at.clamp(DateTime::UNIX_EPOCH, received_at), fault)
}

/// A moment by the sender's clock, told by ours. None where that is no correction: the event would lie ahead, or the sender would
/// have a clock that is wrong by over a year and have waited for over a year at once. Either alone happens (a device that begins
/// in 1970, a history that is sent later); both together are a `sentAt` that is wrong, and would move the event by years.
fn set_right(told: DateTime<Utc>, sent: DateTime<Utc>, received_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let waited = sent - told;
    let at = received_at.checked_sub_signed(waited)?;
    let wrong = (received_at - sent).abs();
    (at <= received_at + AHEAD && !(wrong > LONG && waited > LONG)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_unambiguous_is_read() {
        let read = |value: Value| Moment::read(Some(&value));
        let moment = Moment::At(at("2026-11-29T14:00:00Z"));
        for value in [
            json!(1_795_960_800),
            json!(1_795_960_800_000_i64),
            json!("1795960800"),
            json!("1795960800000"),
            json!("1795960800.000"),
            json!("2026-11-29 14:00:00"),
            json!("2026-11-29T14:00:00"),
            json!("2026-11-29 14:00"),
            json!("2026-11-29T15:00:00+01:00"),
            json!("2026-11-29T15:00:00.000+0100"),
            json!(" 2026-11-29T14:00:00.0000009Z "),
        ] {
            assert_eq!(read(value.clone()), moment, "{value}");
        }
        assert_eq!(read(json!("2026-11-29")), Moment::At(at("2026-11-29T00:00:00Z")));
        assert_eq!(read(json!(1_795_960_800.25)), Moment::At(at("2026-11-29T14:00:00.25Z")));
        for value in [
            json!("yesterday"),
            json!(2026),
            json!("20261129"),
            json!("20261129140000"),
            json!("1.2.3"),
            json!("29.11.2026"),
            json!("11/29/2026"),
            json!("2026-02-30"),
            json!("1969-12-31T23:59:59Z"),
            json!(-1),
            json!(1e300),
            json!(true),
            json!([1_795_960_800]),
        ] {
            assert_eq!(read(value.clone()), Moment::Unreadable, "{value}");
        }
        assert_eq!([Moment::read(None), read(Value::Null), read(json!(" "))], [Moment::Untold; 3]);
    }

    #[test]
    fn what_cannot_be_used_is_told_and_the_event_keeps_the_best_time_there_is() {
        let came = at("2026-11-29T14:00:00Z");
        let of = |event: Value, around: Value| {
            let (at, fault) = occurred(event.as_object().unwrap(), Moment::read(Some(&around)), came);
            (at, fault.map(|fault| fault.code))
        };
        let (time, sent) = (Some("EVENT_TIME_INVALID".to_owned()), Some("EVENT_SENT_AT_INVALID".to_owned()));
        assert_eq!(of(json!({ "timestamp": "yesterday" }), Value::Null), (came, time.clone()));
        let other = json!({ "originalTimestamp": "yesterday", "timestamp": "2026-11-29" });
        assert_eq!(of(other, Value::Null), (at("2026-11-29T00:00:00Z"), time.clone()));
        assert_eq!(of(json!({ "timestamp": "2099-01-01" }), Value::Null), (came, time));
        let told = at("2026-11-29T13:00:00Z");
        for wrong in ["2099-01-01T00:00:00Z", "2028-06-01T00:00:00Z", "1970-01-01T00:00:00Z", "soon"] {
            let event = json!({ "timestamp": told, "sentAt": wrong });
            assert_eq!(of(event, Value::Null), (told, sent.clone()), "{wrong}");
            assert_eq!(of(json!({ "timestamp": told }), json!(wrong)), (told, sent.clone()), "{wrong}");
        }
        // A device without a clock, and a history that is sent later, are right.
        let reset = json!({ "timestamp": "1970-01-01T00:01:00Z", "sentAt": "1970-01-01T00:06:00Z" });
        assert_eq!(of(reset, Value::Null), (at("2026-11-29T13:55:00Z"), None));
        let history = json!({ "timestamp": "1999-05-01T08:00:00Z", "sentAt": came });
        assert_eq!(of(history, Value::Null), (at("1999-05-01T08:00:00Z"), None));
        assert_eq!(of(json!({ "sentAt": "soon" }), Value::Null), (came, None), "nothing was to be set right");
    }
}
