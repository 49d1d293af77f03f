//! HTTP over bad networks.
