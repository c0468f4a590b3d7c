//! Tables that fit the width of the terminal.
//!
//! Pure: a width in, lines out. If not all columns fit, some are dropped in a fixed order; then those
//! that may be are truncated, the last column last.

use console::{Style, measure_text_width, truncate_str};

use crate::store::{escaped, is_unsafe};

/// Spaces between two columns.
const GAP: usize = 2;

/// Stands for truncated text.
const CUT: &str = "…";

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    heading: &'static str,
    is_number: bool,
    /// When it is left out where they do not fit, the first being 1; none: never.
    drop_order: Option<u8>,
    /// The width to which it may be truncated; none: it is never truncated.
    min_width: Option<usize>,
    /// The style of a cell at a terminal with colours.
    style: Option<fn(&str) -> Style>,
}

impl Column {
    pub(super) const fn text(heading: &'static str) -> Self {
        Self {
            heading,
            is_number: false,
            drop_order: None,
            min_width: None,
            style: None,
        }
    }

    /// Aligned to the right.
    pub(super) const fn number(heading: &'static str) -> Self {
        Self {
            is_number: true,
            ..Self::text(heading)
        }
    }

    /// Left out where they do not fit: 1 before all others.
    pub(super) const fn drop_order(self, turn: u8) -> Self {
        Self {
            drop_order: Some(turn),
            ..self
        }
    }

    /// With cells that have a style, by their text, at a terminal with colours.
    pub(super) const fn styled(self, style: fn(&str) -> Style) -> Self {
        Self {
            style: Some(style),
            ..self
        }
    }

    /// Truncated if not all columns fit, but to no less than this width.
    pub(super) const fn min_width(self, min_width: usize) -> Self {
        Self {
            min_width: Some(min_width),
            ..self
        }
    }
}

/// Rows of cells below headings.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A row with its cells escaped, so that names of peers cannot break the line.
fn printable(row: Vec<String>) -> Vec<String> {
    let cells = row.into_iter().map(|cell| match cell.contains(is_unsafe) {
        true => escaped(&cell).into_owned(),
        false => cell,
    });
    cells.collect()
}

/// A column that is shown, by its index and width.
#[derive(Clone, Copy)]
struct ShownColumn {
    at: usize,
    min_width: usize,
    width: usize,
}

impl Table {
    /// A table of rows, which have a cell for each column.
    pub(super) fn new(
        columns: impl Into<Vec<Column>>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Self {
            columns: columns.into(),
            rows: rows.into_iter().map(printable).collect(),
        }
    }

    /// The table as one text; empty without rows.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        self.lines(width).join("\n")
    }

    /// The headings and a line for each row. No line exceeds `width`; without a width, nothing is
    /// truncated.
    pub(super) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let shown = self.fitted(width);
        let headings = self.columns.iter().map(|column| column.heading.to_owned());
        let headings = self.line(&headings.collect::<Vec<_>>(), &shown, false);
        let rows = self.rows.iter().map(|row| self.line(row, &shown, true));
        let cut = |line: String| match width {
            Some(width) => truncate(&line, width),
            None => line,
        };
        [headings].into_iter().chain(rows).map(cut).collect()
    }

    /// The columns that fit into this width.
    fn fitted(&self, width: Option<usize>) -> Vec<ShownColumn> {
        let mut shown: Vec<_> = (0..self.columns.len()).map(|at| self.whole(at)).collect();
        let Some(width) = width else { return shown };
        while needed(shown.iter().map(|column| column.min_width)) > width {
            let turn = |column: &ShownColumn| self.columns[column.at].drop_order;
            let next = shown.iter().filter_map(turn).min();
            if next.is_none() {
                break;
            }
            shown.retain(|column| turn(column) != next);
        }
        let mut spare = width.saturating_sub(needed(shown.iter().map(|column| column.min_width)));
        for column in shown.iter_mut().rev() {
            let more = spare.min(column.width - column.min_width);
            spare -= more;
            column.width = column.min_width + more;
        }
        shown
    }

    /// A column as wide as its widest cell.
    fn whole(&self, at: usize) -> ShownColumn {
        let column = self.columns[at];
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let widths = cells.map(|cell| measure_text_width(cell));
        let heading = measure_text_width(column.heading);
        let width = widths.max().unwrap_or(0).max(heading);
        let min_width = column
            .min_width
            .map_or(width, |min_width| width.min(min_width.max(heading)));
        ShownColumn {
            at,
            min_width,
            width,
        }
    }

    /// A line of the table, without spaces at its end.
    fn line(&self, cells: &[String], shown: &[ShownColumn], is_row: bool) -> String {
        let mut line = String::new();
        for column in shown {
            let whole = cells.get(column.at).map_or("", String::as_str);
            let mut cell = truncate(whole, column.width);
            if let Some(style) = self.columns[column.at].style.filter(|_| is_row) {
                cell = style(whole).apply_to(cell).to_string();
            }
            let fill = " ".repeat(column.width.saturating_sub(measure_text_width(&cell)));
            line += &if self.columns[column.at].is_number {
                fill + &cell
            } else {
                cell + &fill
            };
            line += &" ".repeat(GAP);
        }
        line.trim_end().to_owned()
    }
}

/// The width of columns with the gaps between them.
fn needed(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

/// `text`, truncated to `width` columns of a terminal.
pub(super) fn truncate(text: &str, width: usize) -> String {
    truncate_str(text, width, CUT).into_owned()
}

/// `text` in lines of at most `width` columns, broken between words where possible.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines
            .last_mut()
            .expect("the list starts with a line and never shrinks");
        if last.is_empty() {
            *last = truncate(word, width);
        } else if measure_text_width(last) + 1 + measure_text_width(word) <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(truncate(word, width));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 4]]) -> Table {
        let columns = [
            Column::number("SIZE"),
            Column::text("KIND").drop_order(1),
            Column::text("HASH").min_width(6),
            Column::text("NAME").min_width(8),
        ];
        let rows = rows.iter().map(|row| row.map(str::to_owned).to_vec());
        Table::new(columns, rows)
    }

    const ROWS: [[&str; 4]; 2] = [
        ["1.0 kB", "file", "0123456789", "ä b"],
        ["1 B", "folder", "abcdefabcd", "a long name"],
    ];

    #[test]
    fn columns_line_up_and_nothing_is_truncated_without_a_width() {
        assert_eq!(
            table(&ROWS).text(None),
            "  SIZE  KIND    HASH        NAME\n\
             1.0 kB  file    0123456789  ä b\n\
             \x20  1 B  folder  abcdefabcd  a long name"
        );
        assert_eq!(table(&[]).text(None), "");
    }

    #[test]
    fn names_are_truncated_last() {
        assert_eq!(
            table(&ROWS).text(Some(38)),
            "  SIZE  KIND    HASH       NAME\n\
             1.0 kB  file    01234567…  ä b\n\
             \x20  1 B  folder  abcdefab…  a long name"
        );
        assert_eq!(
            table(&ROWS).text(Some(25)),
            "  SIZE  HASH    NAME\n\
             1.0 kB  01234…  ä b\n\
             \x20  1 B  abcde…  a long n…"
        );
    }

    #[test]
    fn no_line_exceeds_the_width() {
        let wide = [["1 B", "file", "ab", "文件文件文件文件文件"], ROWS[1]];
        for width in 1..60 {
            for line in table(&wide).lines(Some(width)) {
                assert!(measure_text_width(&line) <= width, "{width}: {line:?}");
            }
        }
        let lines = table(&wide).lines(Some(27));
        assert_eq!(lines[1], " 1 B  ab      文件文件文件…");
    }

    #[test]
    fn long_text_wraps_between_words() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdef g", 4), ["abc…", "g"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
