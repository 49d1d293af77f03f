//! The lines of a text, by offset.

use std::path::Path;
use std::sync::Arc;

use crate::place::Place;

/// The offsets at which the lines of a file begin.
pub(crate) struct Lines {
    path: Arc<Path>,
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            path: path.into(),
            starts: starts.map(|(at, _)| at + 1).collect(),
        }
    }

    /// Returns the place of an offset in bytes.
    pub(crate) fn at(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset) + 1;
        Place::File {
            path: Arc::clone(&self.path),
            line: Some(line),
        }
    }
}
