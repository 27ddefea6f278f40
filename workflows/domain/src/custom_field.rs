//! custom_field: to come.
