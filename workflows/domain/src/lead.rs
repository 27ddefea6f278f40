//! lead: to come.
