//! The Dockerfile grammar, and the images that a build needs.
