//! calendar: to come.
