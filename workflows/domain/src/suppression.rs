//! suppression: to come.
