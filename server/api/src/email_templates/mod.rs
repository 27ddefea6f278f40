//! Templates of e-mails that sequences share.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::EmailTemplateMutation;
pub use query::EmailTemplateQuery;
pub use types::{EmailTemplateNode, EmailTemplateVersionNode, SequenceTemplate};
