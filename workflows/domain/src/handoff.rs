//! handoff: to come.
