//! Tables: columns as wide as what stands in them needs, and the headings again on every page.

use super::super::Table;
use super::paper::{Cell, Colour, MARGIN, MEASURE, Paper, Style, Tag};
use super::parts;
use super::wrap::{self, Wish};

/// How the headings of columns are written.
pub(super) const HEAD: Style = Style::bold(7.8);
const CELL: Style = Style::text(8.1);
/// Between columns.
const GAP: f32 = 8.0;
/// Words that are wider than this are broken before another column is starved.
const WORD: f32 = 110.0;

/// Sets a table.
pub(super) fn set<'d>(paper: &mut Paper<'d>, table: &'d Table) {
    parts::caption(paper, &table.title, 48.0);
    if table.rows.is_empty() {
        paper.paragraph(Tag::Paragraph, Style::text(8.8).in_colour(Colour::Grey), &*table.empty);
        return;
    }
    let columns = columns(table);
    paper.within(Tag::Table, |paper| {
        paper.within(Tag::TableHead, |paper| {
            let cells = row(paper, &columns, &table.head, HEAD, &Tag::ColumnHead);
            paper.repeat(cells);
        });
        paper.within(Tag::TableBody, |paper| {
            for texts in &table.rows {
                let cells = row(paper, &columns, texts, CELL, &Tag::Cell);
                paper.skip(2.0);
                paper.row(cells);
                paper.lower(2.0);
                paper.rule(0.4, Colour::Rule);
            }
        });
        paper.end_repeating();
    });
}

/// A column: its left end, and how wide its text may be.
type Column = (f32, f32);

fn row<'d>(paper: &mut Paper<'d>, columns: &[Column], texts: &'d [String], style: Style, tag: &Tag) -> Vec<Cell<'d>> {
    paper.within(Tag::Row, |paper| {
        let cells = columns.iter().zip(texts).map(|((x, width), text)| {
            let leaf = paper.leaf_in(tag.clone());
            Cell::new(leaf, style, &**text, *x, *width)
        });
        cells.collect()
    })
}

fn columns(table: &Table) -> Vec<Column> {
    let mut wishes = vec![Wish::default(); table.head.len()];
    let rows = table.rows.iter().map(|row| (row, CELL));
    for (texts, style) in std::iter::once((&table.head, HEAD)).chain(rows) {
        for (wish, text) in wishes.iter_mut().zip(texts) {
            let own = wish_of(style, text);
            (wish.word, wish.cell) = (wish.word.max(own.word), wish.cell.max(own.cell));
        }
    }
    let mut x = MARGIN;
    let widths = wrap::columns(&wishes, MEASURE + GAP).into_iter();
    widths
        .map(|width| {
            let column = (x, (width - GAP).max(4.0));
            x += width;
            column
        })
        .collect()
}

/// What a text would like, with the room to the next column.
fn wish_of(style: Style, text: &str) -> Wish {
    // A little more than that: sums of widths are rounded differently from line to line.
    const SLACK: f32 = 0.05;
    let longest = text.split(' ').map(|word| style.width(word)).fold(0.0, f32::max);
    Wish { word: longest.min(WORD) + GAP + SLACK, cell: style.width(text) + GAP + SLACK }
}
