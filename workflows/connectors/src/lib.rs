//! tandem-connectors
