//! Aligned columns of text. Colour is added after widths are counted, and only where a column asks.

use std::fmt::Write;

use anstyle::Style;

/// One cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text without colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    /// Text in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Lines of cells, the first of them the heading, each column as wide as its widest cell.
pub(crate) fn render(lines: &[Vec<Cell>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let Cell { text: content, style } = cell;
            // What nothing follows needs no spaces behind it.
            let gap = if line.iter().skip(index + 1).any(|later| !later.text.is_empty()) {
                width.saturating_sub(content.chars().count()) + 2
            } else {
                0
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "{style}{content}{style:#}{:gap$}", "");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;

    #[test]
    fn columns_are_aligned() {
        let line = |cells: [&str; 3]| cells.map(Cell::plain).to_vec();
        let text = render(&[line(["a", "long heading", "c"]), line(["wide", "é", "x"])]);
        assert_eq!(text, "a     long heading  c\nwide  é             x\n");
        assert_eq!(render(&[line(["a", "", ""]), line(["", "", "b"])]), "a\n     b\n");
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn colour_takes_no_width() {
        let red = AnsiColor::Red.on_default();
        let text = render(&[
            vec![Cell::styled("no", red), Cell::plain("b")],
            vec![Cell::plain("long"), Cell::plain("b")],
        ]);
        let bare = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(bare, "no    b\nlong  b\n");
        assert!(text.contains("\u{1b}[31m"));
    }
}
