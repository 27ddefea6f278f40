//! A row of choices, from which whatever is random in a test is made. Whoever makes the row shorter or its numbers smaller makes
//! what follows from it simpler: so a property test finds the simplest case by itself, and any other source of numbers does too.

/// The choices that are left.
pub struct Choices {
    left: std::vec::IntoIter<u32>,
}

impl Choices {
    /// The choices in their order. Once all are made, every further one is the simplest.
    pub fn new(drawn: Vec<u32>) -> Self {
        Self { left: drawn.into_iter() }
    }

    /// One of the numbers below `count`, 0 being the simplest.
    pub fn below(&mut self, count: usize) -> usize {
        let drawn = self.left.next().unwrap_or(0);
        usize::try_from(drawn).map_or(0, |drawn| drawn % count.max(1))
    }

    /// Once in so many times, and not if the choices are used up.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 1
    }

    /// One of these, the first being the simplest.
    pub fn of<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        let at = self.below(these.len());
        &these[at]
    }
}
