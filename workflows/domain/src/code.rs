//! Closed sets of codes: one definition gives the enum, its wire form, its parser and its catalogue.

/// A text that is not one of a closed set's codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {set}; one of {known} is expected")]
pub struct UnknownCode {
    /// The name of the set, e.g. `handoff reason`.
    pub set: &'static str,
    /// What was given.
    pub given: String,
    /// Every code of the set, separated by a comma and a space.
    pub known: String,
}

impl UnknownCode {
    /// The stable code of this refusal.
    pub const CODE: &'static str = "UNKNOWN_CODE";
}

/// Defines an enum whose variants have a stable `SCREAMING_SNAKE_CASE` code.
///
/// The enum gets `ALL`, `as_str`, `Display`, `FromStr` (exact, case-sensitive) and serde in the same form.
#[macro_export]
macro_rules! codes {
    ($(#[$meta:meta])* $vis:vis enum $name:ident ($set:literal) { $($(#[$vmeta:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$vmeta])* #[serde(rename = $code)] $variant),+ }

        impl $name {
            /// Every code, in the order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::code::UnknownCode;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or_else(|| $crate::code::UnknownCode {
                    set: $set,
                    given: text.chars().take(80).collect(),
                    known: Self::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}
