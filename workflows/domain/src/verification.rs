//! verification: to come.
