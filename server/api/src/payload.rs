//! Payloads of mutations: what was changed, or why not.

/// Defines payload types: nullable entities and `userErrors`, made from what a command answered.
///
/// `payload! { /// doc \n UserCreatePayload { /// doc \n user: UserNode } }` gives `UserCreatePayload::of(result)`, where
/// `result` is `Result<UserNode, AppError>` (a tuple for several fields).
macro_rules! payload {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $type:ty),+ $(,)? })+) => { $(
        $(#[$meta])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: Option<$type>,)+
            /// What the caller can mend; empty when the change was made.
            pub user_errors: Vec<$crate::error::UserError>,
        }

        impl $name {
            pub(crate) fn of(done: Result<($($type),+), tandem_app::AppError>) -> Result<Self, $crate::error::ApiError> {
                Ok(match $crate::error::split(done)? {
                    Ok(($($field),+)) => Self { $($field: Some($field),)+ user_errors: Vec::new() },
                    Err(user_errors) => Self { $($field: None,)+ user_errors },
                })
            }
        }
    )+ };
}
pub(crate) use payload;
