//! The rows at a terminal's end that are drawn again and again, with the lines that stay above them.

use crate::report::line::{Line, width};

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

/// Makes the text that takes the old rows away and draws the new ones.
#[derive(Debug)]
pub struct Painter {
    colour: bool,
    /// The columns that each drawn row took.
    drawn: Vec<usize>,
}

impl Painter {
    /// Makes a painter of a screen that is empty yet.
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self {
            colour,
            drawn: Vec::new(),
        }
    }

    /// Returns how many rows are drawn.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.drawn.len()
    }

    /// Draws `rows` below the lines in `above`, which stay; what was drawn before goes. Rows that
    /// do not fit the screen's height are left out.
    pub fn paint(&mut self, above: &[Line], rows: &[Line], size: Size) -> String {
        // A terminal that became narrower has broken the rows.
        let broken = |columns: &usize| columns.div_ceil(size.columns.max(1)).max(1);
        let old: usize = self.drawn.iter().map(broken).sum();
        self.drawn.clear();
        let mut text = String::new();
        if old > 0 {
            text.push_str(&format!("\x1b[{old}A\r"));
        }
        // The last column stays free: a terminal may go to the next row once it is taken.
        let columns = size.columns.saturating_sub(1);
        let rows = &rows[..rows.len().min(size.rows.saturating_sub(1))];
        let mut written = 0;
        for (position, line) in above.iter().chain(rows).enumerate() {
            let fitted = line.fit(columns);
            written += fitted
                .split('\n')
                .map(|row| broken(&width(row)))
                .sum::<usize>();
            if position >= above.len() {
                self.drawn.push(width(&fitted));
            }
            let coloured = if self.colour {
                line.style.paint(&fitted)
            } else {
                fitted
            };
            // Each row is erased by itself: some terminals keep a copy of a screen that is erased
            // as a whole.
            text.push_str(&coloured.replace('\n', "\x1b[K\n"));
            text.push_str("\x1b[K\n");
        }
        if old > written {
            let left = old - written;
            text.push_str(&"\x1b[2K\n".repeat(left));
            text.push_str(&format!("\x1b[{left}A"));
        }
        text
    }
}
