//! Reports as PDF, for archives and for people who put their name to them: A4, PDF/A-2a and PDF/UA-1.
//!
//! [`parts`] lays the document out on [`paper`], with columns and lines as [`wrap`] finds them in the widths that [`font`] knows;
//! [`draw`] gives the pages to krilla, which writes the file and subsets the fonts. The same document and time give the same bytes.

mod draw;
mod font;
mod paper;
mod parts;
mod table;
#[cfg(test)]
mod tests;
mod wrap;

use chrono::{DateTime, Utc};

use super::Document;
use font::clean;
use paper::{BOTTOM, Bookmark, Colour, HEIGHT, MARGIN, MEASURE, Node, Page, Paper, Shape, Style};

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
#[error("the PDF can't be made: {0}")]
pub struct Error(String);

/// A document on pages, ready to be drawn.
#[derive(Debug)]
struct Laid<'d> {
    pages: Vec<Page<'d>>,
    /// The structure of all of it.
    tree: Vec<Node>,
    /// How many leaves the structure has.
    leaves: usize,
    bookmarks: Vec<Bookmark>,
}

/// Writes a report that was made at a time.
pub(super) fn write(document: &Document, made: DateTime<Utc>) -> Result<Vec<u8>, Error> {
    draw::draw(lay(document), &document.title, made)
}

/// Lays a document out: the front page, the contents, and everything else.
fn lay(document: &Document) -> Laid<'_> {
    let mut front = Paper::after(0);
    parts::front(&mut front, document);
    let mut body = Paper::after(front.leaves);
    parts::body(&mut body, document);
    // How many pages the contents take doesn't depend on the numbers in them.
    let pages_with = |before: usize| {
        let mut contents = Paper::after(body.leaves);
        parts::contents(&mut contents, &body.bookmarks, before);
        contents
    };
    let before = front.pages.len() + pages_with(0).pages.len();
    let contents = pages_with(before);
    let bookmarks = body.bookmarks.into_iter().map(|bookmark| Bookmark { page: bookmark.page + before, ..bookmark });
    let mut laid = Laid {
        pages: [front.pages, contents.pages, body.pages].into_iter().flatten().collect(),
        tree: [front.roots, contents.roots, body.roots].into_iter().flatten().collect(),
        leaves: contents.leaves,
        bookmarks: bookmarks.collect(),
    };
    number(&mut laid.pages, document);
    laid
}

/// Says on each page of what it is a page, and which one.
fn number<'d>(pages: &mut [Page<'d>], document: &'d Document) {
    const STYLE: Style = Style::text(7.5).in_colour(Colour::Grey);
    let all = pages.len();
    let of = [&*document.organisation, &*document.title].map(clean);
    let of = of.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(" · ");
    let room = MEASURE - STYLE.width(&format!("{all} of {all}")) - 20.0;
    let shown = STYLE.lines(&*of, room).swap_remove(0).into_owned();
    let of = if shown.len() < of.len() { format!("{}…", shown.trim_end()) } else { shown };
    let y = BOTTOM + (HEIGHT - BOTTOM) / 2.0;
    for (at, page) in pages.iter_mut().enumerate() {
        let number = format!("{} of {all}", at + 1);
        let right = MARGIN + MEASURE - STYLE.width(&number);
        for (x, text) in [(MARGIN, of.clone()), (right, number)] {
            page.items.push(paper::Item { leaf: None, x, y, shape: Shape::Text(STYLE, text.into()) });
        }
    }
}
