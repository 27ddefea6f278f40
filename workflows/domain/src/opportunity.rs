//! opportunity: to come.
