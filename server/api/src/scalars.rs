//! Scalars that the specification does not have. `DateTime` (RFC 3339) and `JSON` come with the library.

use async_graphql::registry::{MetaType, Registry};
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::NaiveDate;

/// Describes the scalars of the library, and says by what `JSON` is specified.
pub(crate) fn describe(registry: &mut Registry) {
    registry.set_description("DateTime", "A moment: RFC 3339, in UTC.");
    registry.set_description("JSON", "Any JSON value.");
    if let Some(MetaType::Scalar { specified_by_url, .. }) = registry.types.get_mut("JSON") {
        *specified_by_url = Some("https://datatracker.ietf.org/doc/html/rfc8259".to_owned());
    }
}

/// A day of the calendar, `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub NaiveDate);

/// A day of the calendar, `YYYY-MM-DD`.
#[Scalar(name = "Date", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
                // The parser also takes signs, blanks, and fewer or more digits, which could not be told back.
                Ok(date) if date.to_string() == *text && text.len() == 10 => Ok(Self(date)),
                _ => Err(InputValueError::custom("a day is written YYYY-MM-DD")),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

macro_rules! text_scalar {
    ($($(#[$meta:meta])* $name:ident as $graphql:literal by $url:literal checked by $check:expr, $rule:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        $(#[$meta])*
        #[Scalar(name = $graphql, specified_by_url = $url)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                let check: fn(&str) -> bool = $check;
                match value {
                    Value::String(text) if check(&text) => Ok(Self(text)),
                    Value::String(_) => Err(InputValueError::custom($rule)),
                    value => Err(InputValueError::expected_type(value)),
                }
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    )+ };
}

text_scalar! {
    /// An e-mail address.
    EmailAddress as "EmailAddress" by "https://datatracker.ietf.org/doc/html/rfc5321#section-4.1.2"
        checked by |text| text.len() <= 320 && text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()),
        "an e-mail address has a local part, an @ and a domain";
    /// An exact decimal number, as text: digits, and perhaps a point and more digits.
    Decimal as "Decimal" by "https://www.w3.org/TR/xmlschema11-2/#decimal"
        checked by |text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
            let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            text.len() <= 40 && number(whole) && number(fraction)
        },
        "an exact number is written as text, e.g. \"1250.00\"";
}
