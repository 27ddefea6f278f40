//! Pages of a list, by a cursor that stays where it is when rows are added.

/// Which part of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<C> {
    /// How many rows, 1 to 100.
    pub limit: u64,
    /// Only what comes after this cursor.
    pub after: Option<C>,
    /// Only what comes before this cursor.
    pub before: Option<C>,
    /// Whether the limit counts from the end.
    pub backward: bool,
}

impl<C> Page<C> {
    /// The first rows of a list.
    pub const fn first(limit: u64) -> Self {
        Self { limit, after: None, before: None, backward: false }
    }
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOf<T> {
    /// The rows, in the order of the list whichever end was counted from.
    pub items: Vec<T>,
    /// Whether rows come before these.
    pub has_previous: bool,
    /// Whether rows come after these.
    pub has_next: bool,
}

impl<T> PageOf<T> {
    /// Makes a page of up to `limit + 1` rows that were read in the page's direction.
    pub(crate) fn cut<C>(mut items: Vec<T>, page: &Page<C>) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        if page.backward {
            items.reverse();
            Self { items, has_previous: more, has_next: page.before.is_some() }
        } else {
            Self { items, has_previous: page.after.is_some(), has_next: more }
        }
    }

    /// Turns each row into another form.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> PageOf<U> {
        let items = self.items.into_iter().map(turn).collect();
        PageOf { items, has_previous: self.has_previous, has_next: self.has_next }
    }
}
