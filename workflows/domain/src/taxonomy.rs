//! taxonomy: to come.
