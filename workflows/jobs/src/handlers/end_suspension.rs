//! Ends an emergency suspension that was not made permanent.

use super::settle;
use crate::Disposition;
use tandem_app::{App, AppError, Call, ListSuspensionEnd};
use tandem_domain::id::{AccountId, ListId};

/// Runs [`ListSuspensionEnd`]: a suspension that ended before, became permanent, or is another one by now, is left
/// alone.
pub(super) async fn run(
    app: &App,
    call: &Call,
    list: ListId,
    account: AccountId,
    revision: u32,
) -> Result<Disposition, AppError> {
    settle(app, call, ListSuspensionEnd { list, account, revision }).await
}
