//! tandem-migrations
