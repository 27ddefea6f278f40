//! Payloads of mutations: what was changed, or why not.

/// Defines payload types: nullable entities and `userErrors`, made from what a command answered.
///
/// `payload! { /// doc \n UserCreatePayload { /// doc \n user: UserNode } }` gives `UserCreatePayload::of(result)`, where
/// `result` is `Result<UserNode, AppError>` (a tuple for several fields).
macro_rules! payload {
    // One field: the result is the field's value.
    (@of $name:ident { $field:ident : $type:ty }) => {
        $crate::payload::payload!(@impl $name, $type, $field, { $field });
    };
    // Several: the result is a tuple.
    (@of $name:ident { $($field:ident : $type:ty),+ }) => {
        $crate::payload::payload!(@impl $name, ($($type),+), ($($field),+), { $($field),+ });
    };
    (@impl $name:ident, $value:ty, $pattern:pat, { $($field:ident),+ }) => {
        impl $name {
            pub(crate) fn of(done: Result<$value, tandem_app::AppError>) -> Result<Self, $crate::error::ApiError> {
                Ok(match $crate::error::split(done)? {
                    Ok($pattern) => Self { $($field: Some($field),)+ user_errors: Vec::new() },
                    Err(user_errors) => Self { $($field: None,)+ user_errors },
                })
            }
        }
    };
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $type:ty),+ $(,)? })+) => { $(
        $(#[$meta])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: Option<$type>,)+
            /// What the caller can mend; empty when the change was made.
            pub user_errors: Vec<$crate::error::UserError>,
        }

        $crate::payload::payload!(@of $name { $($field : $type),+ });
    )+ };
}
pub(crate) use payload;
