//! The client side of the distribution specification.
