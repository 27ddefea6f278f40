//! target_list: to come.
