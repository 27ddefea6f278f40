//! Where a lead is in its life.

use crate::codes;

codes! {
    /// Where a lead is in its life.
    pub enum Stage("lead stage") {
        /// It came in; marketing decides what becomes of it.
        Received = "RECEIVED",
        /// A sequence works on it.
        Nurturing = "NURTURING",
        /// Qualified by marketing (MQL); it waits for an SDR.
        Queued = "QUEUED",
        /// An SDR holds it, or waits for an answer about it.
        Verifying = "VERIFYING",
        /// Checked and complete; the SDR dispatches it next.
        Verified = "VERIFIED",
        /// Routing looks for somebody in sales.
        Dispatched = "DISPATCHED",
        /// Somebody in sales took it (SAL).
        Accepted = "ACCEPTED",
        /// Sales works on it (SQL).
        Working = "WORKING",
        /// Sales gave it back; the return is under review.
        Returned = "RETURNED",
        /// Put aside until a date or a better grade.
        Recycled = "RECYCLED",
        /// Sold.
        Won = "WON",
        /// Worked and not sold.
        Lost = "LOST",
        /// Judged not to be a lead.
        Disqualified = "DISQUALIFIED",
        /// The same candidacy as another lead.
        Duplicate = "DUPLICATE",
        /// Ended for another reason.
        Closed = "CLOSED",
    }
}

impl Stage {
    /// Whether the lead's life goes on: exactly then it has an owner and a due time.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Won | Self::Lost | Self::Disqualified | Self::Duplicate | Self::Closed)
    }

    /// Whether sales (or routing on its behalf) is responsible.
    pub const fn is_with_sales(self) -> bool {
        matches!(self, Self::Dispatched | Self::Accepted | Self::Working | Self::Returned)
    }
}
