//! expression: to come.
