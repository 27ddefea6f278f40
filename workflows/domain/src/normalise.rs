//! normalise: to come.
