//! work_item: to come.
