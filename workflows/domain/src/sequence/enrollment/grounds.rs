//! Why a run ended that was ended from outside, on the record.

use super::Enrollment;
use crate::decision::Decision;
use crate::standing::Standing;
use crate::suppression::SuppressionReason;
use serde_json::json;

/// Says on the record how the person stands, since that ended the run, and what brought it about, where that is known here.
pub fn on_standing(
    mut decision: Decision<Enrollment>,
    standing: Standing,
    why: Option<SuppressionReason>,
) -> Decision<Enrollment> {
    for fact in &mut decision.facts {
        fact.detail.insert("grounds".to_owned(), json!({"standing": standing.to_string()}));
        if let Some(why) = why {
            fact.reason = Some(why.to_string());
        }
    }
    decision
}
