//! Where a part of an expression stands in its text.

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

/// The byte at which a part begins: an operation begins where its first part does.
pub(super) fn start(info: &SourceInfo, source: &str, tree: &IdedExpr) -> usize {
    let own = info.offset_for(tree.id).map_or(0, |(start, _)| usize::try_from(start).unwrap_or(0));
    let first = match &tree.expr {
        Expr::Call(call) => call.target.as_deref().or(call.args.first()).map(|part| start(info, source, part)),
        Expr::Select(select) => Some(start(info, source, &select.operand)),
        _ => None,
    };
    first.map_or(own, |first| first.min(own)).min(source.len())
}
