//! Global ids: opaque outside, type name and UUID inside.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tandem_app::AppError;
use tandem_domain::decision::Subject;
use uuid::Uuid;

/// The global id of a thing.
pub fn global(id: impl Into<Subject>) -> ID {
    let Subject { kind, id } = id.into();
    global_of(kind, id)
}

/// The global id of a thing of a kind.
pub(crate) fn global_of(kind: &str, id: Uuid) -> ID {
    ID(tandem_domain::id::global(kind, id))
}

/// The kind and UUID in a global id.
pub(crate) fn parts(id: &ID) -> Option<(String, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_str()).ok()?).ok()?;
    let (kind, id) = text.split_once(':')?;
    Some((kind.to_owned(), id.parse().ok()?))
}

/// The id of a certain kind in a global id that was given in `field`.
pub(crate) fn local<T: From<Uuid> + Into<Subject>>(id: &ID, field: &str) -> Result<T, AppError> {
    let expected = T::from(Uuid::nil()).into().kind;
    match parts(id) {
        Some((kind, id)) if kind == expected => Ok(id.into()),
        _ => Err(AppError::refused("ID_INVALID", format!("this is not the id of a {expected}"), Some(field))),
    }
}

/// The same, where the id may be absent.
pub(crate) fn local_opt<T: From<Uuid> + Into<Subject>>(id: Option<&ID>, field: &str) -> Result<Option<T>, AppError> {
    id.map(|id| local(id, field)).transpose()
}
