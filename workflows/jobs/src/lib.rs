//! tandem-jobs
