//! Lines on a terminal that are drawn again and again in the same place.

use std::io;

use console::{Term, measure_text_width};

/// Rows and columns of a terminal of unknown size.
const USUAL_SIZE: (u16, u16) = (24, 80);

/// Lines that are drawn over the previous ones. The last ones stay, and later output begins below
/// them.
pub(super) struct Frame {
    terminal: Term,
    drawn: Vec<String>,
}

impl Frame {
    pub(super) const fn new(terminal: Term) -> Self {
        Self {
            terminal,
            drawn: Vec::new(),
        }
    }

    /// Draws the lines that fit into the rows and columns that are free.
    pub(super) fn draw(
        &mut self,
        lines: impl FnOnce(usize, usize) -> Vec<String>,
    ) -> io::Result<()> {
        let size = self.terminal.size_checked();
        // A terminal of unknown size reports 0.
        let size = size.filter(|(rows, columns)| *rows > 0 && *columns > 0);
        let (rows, columns) = size.unwrap_or(USUAL_SIZE);
        // One row is left for the cursor.
        let (rows, columns) = (usize::from(rows).saturating_sub(1), usize::from(columns));
        let lines = lines(rows, columns);
        let drawn = rows_of(&self.drawn, columns).min(rows);
        self.terminal.clear_last_lines(drawn)?;
        for line in &lines {
            self.terminal.write_line(line)?;
        }
        self.terminal.flush()?;
        self.drawn = lines;
        Ok(())
    }
}

impl Drop for Frame {
    /// Removes the `^C` that the terminal shows.
    fn drop(&mut self) {
        // It fails if the terminal is closed.
        let _ = self.terminal.clear_line();
        let _ = self.terminal.flush();
    }
}

/// Rows that lines take on a terminal that may have become narrower since they were drawn.
fn rows_of(lines: &[String], columns: usize) -> usize {
    let rows = |line: &String| measure_text_width(line).div_ceil(columns.max(1)).max(1);
    lines.iter().map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wrap_where_a_terminal_became_narrower() {
        let lines = ["1234567890", "", "文件"].map(str::to_owned);
        assert_eq!(rows_of(&lines, 10), 3);
        assert_eq!(rows_of(&lines, 4), 5);
        assert_eq!(rows_of(&[], 10), 0);
    }
}
