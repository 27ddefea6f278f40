//! contact: to come.
