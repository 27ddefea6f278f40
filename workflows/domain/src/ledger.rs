//! ledger: to come.
