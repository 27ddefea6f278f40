//! The grade of a lead: fit (A to D) by intent (1 to 4), written `A1`.

use super::Refusal;
use crate::codes;
use serde::{Deserialize, Serialize};

codes! {
    /// How well the person and the company match what is wanted; A is best.
    pub enum FitGrade("fit grade") {
        /// An ideal match.
        A = "A",
        /// A good match.
        B = "B",
        /// A weak match.
        C = "C",
        /// No match.
        D = "D",
    }
}

codes! {
    /// How ready the person is to buy; 1 is readiest.
    pub enum IntentGrade("intent grade") {
        /// Asks to buy.
        One = "1",
        /// Shows strong interest.
        Two = "2",
        /// Shows some interest.
        Three = "3",
        /// Shows none.
        Four = "4",
    }
}

/// Fit by intent. Its wire form is two characters, `A1` to `D4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grade {
    /// How well it matches.
    pub fit: FitGrade,
    /// How ready it is.
    pub intent: IntentGrade,
}

impl Grade {
    /// The place among all grades: 0 for `A1`, 27 for `D4`. The sum of both dimensions counts first, then the fit:
    /// A1, A2, B1, A3, B2, C1, ...
    pub const fn rank(self) -> u8 {
        let (fit, intent) = (self.fit as u8, self.intent as u8);
        (fit + intent) * 4 + fit
    }

    /// Whether this grade comes before `other`; any grade comes before none.
    pub fn is_better_than(self, other: Option<Self>) -> bool {
        other.is_none_or(|other| self.rank() < other.rank())
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.fit, self.intent)
    }
}

impl std::str::FromStr for Grade {
    type Err = Refusal;

    /// Takes `A1` to `D4` in either case, with white space around it.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::GradeInvalid { given: text.chars().take(20).collect() };
        let upper = text.trim().to_ascii_uppercase();
        let (fit, intent) = upper.split_at_checked(1).ok_or_else(refusal)?;
        Ok(Self { fit: fit.parse().map_err(|_| refusal())?, intent: intent.parse().map_err(|_| refusal())? })
    }
}

impl TryFrom<String> for Grade {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Grade> for String {
    fn from(grade: Grade) -> Self {
        grade.to_string()
    }
}
