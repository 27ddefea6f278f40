//! E-mail: planning, the three beats of sending, and what people decide about it.

pub mod port;
