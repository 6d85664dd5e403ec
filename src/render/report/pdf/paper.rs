//! Pages that fill from top to bottom, and the structure of what stands on them.
//!
//! What is laid out here is drawn later: only then is it known how many pages there are. A [`Leaf`] ties what is drawn to its
//! place in the structure (ISO 32000-1, 14.7), by which a reader that doesn't see the pages reads them.

use std::borrow::Cow;
use std::rc::Rc;

use super::font::{Face, clean};
use super::wrap;

/// How wide a page is, in points: A4.
pub(super) const WIDTH: f32 = 595.28;
/// How high it is.
pub(super) const HEIGHT: f32 = 841.89;
/// The room to the left and to the right of what is written.
pub(super) const MARGIN: f32 = 48.0;
/// How wide a line may be.
pub(super) const MEASURE: f32 = WIDTH - 2.0 * MARGIN;
/// Where what is written begins.
pub(super) const TOP: f32 = 54.0;
/// Where it ends; the number of the page stands below.
pub(super) const BOTTOM: f32 = HEIGHT - 62.0;

/// From one line to the next, as a part of the size of the letters.
const LEADING: f32 = 1.32;
/// From the top of a line to the foot of its letters.
const FOOT: f32 = 1.01;

/// What something is drawn with. Everything can be told apart in black and white too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// What is read.
    Ink,
    /// What is read second.
    Grey,
    /// Lines between rows.
    Rule,
    /// Bars that should be seen first.
    Dark,
    /// Other bars.
    Plain,
    /// The gravest.
    Red,
    /// Less grave.
    Amber,
}

/// How letters look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// Which letters.
    pub(super) face: Face,
    /// Their size, in points.
    pub(super) size: f32,
    /// Their colour.
    pub(super) colour: Colour,
}

impl Style {
    /// Letters to read.
    pub(super) const fn text(size: f32) -> Self {
        Self { face: Face::Text, size, colour: Colour::Ink }
    }

    /// Letters for headings and labels.
    pub(super) const fn bold(size: f32) -> Self {
        Self { face: Face::Bold, size, colour: Colour::Ink }
    }

    /// Letters for what is typed.
    pub(super) const fn code(size: f32) -> Self {
        Self { face: Face::Code, size, colour: Colour::Ink }
    }

    /// The same in another colour.
    pub(super) const fn in_colour(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    /// How high a line is.
    pub(super) fn leading(self) -> f32 {
        self.size * LEADING
    }

    /// From the top of a line to the foot of its letters.
    pub(super) fn foot(self) -> f32 {
        self.size * FOOT
    }

    /// How wide a text is on one line.
    pub(super) fn width(self, text: &str) -> f32 {
        self.face.width(text) * self.size
    }

    /// Returns the lines of a text in a width.
    pub(super) fn lines<'t>(self, text: impl Into<Cow<'t, str>>, width: f32) -> Vec<Cow<'t, str>> {
        let cut = |text: &str| wrap::lines(text, width / self.size, |c| self.face.glyph(c).advance);
        match cleaned(text.into()) {
            Cow::Borrowed(text) => cut(text).into_iter().map(|range| Cow::Borrowed(&text[range])).collect(),
            Cow::Owned(text) => cut(&text).into_iter().map(|range| Cow::Owned(text[range].to_owned())).collect(),
        }
    }
}

/// How long a title may be where it isn't set but named: in bookmarks and in the structure.
const NAMED: usize = 300;

/// Returns a text as it is named somewhere, cut with a sign when it is very long: PDF/A knows strings of 32,767 bytes at most,
/// and PDF/UA no empty names.
pub(super) fn named(text: &str, most: usize) -> String {
    let text = clean(text);
    if text.trim().is_empty() {
        return "(no title)".to_owned();
    }
    if text.chars().count() <= most {
        return text.into_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The text as it stands in a PDF. One that is empty is a blank: what has nothing on a page would be left out of the structure.
fn cleaned(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        text if text.is_empty() => Cow::Borrowed(" "),
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
    }
}

/// A place in the structure that something drawn belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf(pub(super) usize);

/// What a part of the structure is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tag {
    Section,
    /// A heading of a level, with what it says.
    Heading(u16, String),
    Paragraph,
    Code,
    List,
    Item,
    ItemBody,
    Table,
    TableHead,
    TableBody,
    Row,
    /// The heading of a column.
    ColumnHead,
    /// The heading of a row.
    RowHead,
    Cell,
    /// A picture, with what it says.
    Figure(String),
    Contents,
    Entry,
    Reference,
    Link,
}

/// The structure of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A part of it.
    Group(Tag, Vec<Node>),
    /// What is drawn.
    Leaf(Leaf),
}

/// Something on a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item<'d> {
    /// Where it belongs; nowhere for what only helps the eye.
    pub(super) leaf: Option<Leaf>,
    /// Its left end.
    pub(super) x: f32,
    /// Its top, or the foot of its letters.
    pub(super) y: f32,
    /// What it is.
    pub(super) shape: Shape<'d>,
}

/// What something on a page looks like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape<'d> {
    /// A line of text.
    Text(Style, Cow<'d, str>),
    /// A filled rectangle, with its width and height.
    Block(f32, f32, Colour),
}

/// A place that leads to a heading when somebody chooses it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    /// Where it belongs.
    pub(super) leaf: Leaf,
    /// Its upper end; it is as wide as the text.
    pub(super) y: f32,
    /// How high it is.
    pub(super) height: f32,
    /// Which bookmark it leads to.
    pub(super) bookmark: usize,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page<'d> {
    /// What stands on it, in the order in which it is read.
    pub(super) items: Vec<Item<'d>>,
    /// What leads elsewhere.
    pub(super) links: Vec<Link>,
}

/// A heading that can be found without leafing through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bookmark {
    /// 1 for a part, 2 for what stands in it.
    pub(super) level: u8,
    /// What it says.
    pub(super) title: String,
    /// On which page it is, counted from 0.
    pub(super) page: usize,
    /// Where on the page.
    pub(super) y: f32,
}

/// Something that is set into a row: lines below each other.
#[derive(Clone, Debug)]
pub(super) struct Cell<'d> {
    /// Its left end.
    pub(super) x: f32,
    /// How it is written.
    pub(super) style: Style,
    /// Its lines.
    pub(super) lines: Vec<Cow<'d, str>>,
    /// Where it belongs; nowhere when it is a repetition.
    pub(super) leaf: Option<Leaf>,
}

impl<'d> Cell<'d> {
    /// A text in a column.
    pub(super) fn new(leaf: Leaf, style: Style, text: impl Into<Cow<'d, str>>, x: f32, width: f32) -> Self {
        Self { x, style, lines: style.lines(text, width), leaf: Some(leaf) }
    }

    pub(super) fn height(&self) -> f32 {
        self.lines.len() as f32 * self.style.leading()
    }
}

/// How far down on which page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// The page, counted from 0.
    pub(super) page: usize,
    /// From the top of the page.
    pub(super) y: f32,
}

/// Pages as they are filled.
#[derive(Debug)]
pub(super) struct Paper<'d> {
    /// Those that were begun.
    pub(super) pages: Vec<Page<'d>>,
    /// What was said to be found easily.
    pub(super) bookmarks: Vec<Bookmark>,
    /// The structure, outside of what is open.
    pub(super) roots: Vec<Node>,
    /// How many leaves there are, with those of the papers before.
    pub(super) leaves: usize,
    open: Vec<(Tag, Vec<Node>)>,
    y: f32,
    /// Where the page begins, below what is repeated.
    begin: f32,
    /// What is repeated on top of each page.
    running: Option<Rc<[Cell<'d>]>>,
}

impl<'d> Paper<'d> {
    /// Empty paper, whose leaves follow those of other paper.
    pub(super) fn after(leaves: usize) -> Self {
        Self {
            pages: vec![Page::default()],
            bookmarks: Vec::new(),
            roots: Vec::new(),
            leaves,
            open: Vec::new(),
            y: TOP,
            begin: TOP,
            running: None,
        }
    }

    /// Where the next thing goes.
    pub(super) fn place(&self) -> Place {
        Place { page: self.pages.len() - 1, y: self.y }
    }

    /// How much of the page is left.
    fn room(&self) -> f32 {
        BOTTOM - self.y
    }

    fn is_fresh(&self) -> bool {
        self.y <= self.begin
    }

    /// Leaves some room, also at the beginning of a page.
    pub(super) fn lower(&mut self, height: f32) {
        self.y = (self.y + height).min(BOTTOM);
    }

    /// Leaves some room, except at the beginning of a page.
    pub(super) fn skip(&mut self, height: f32) {
        if !self.is_fresh() {
            self.lower(height);
        }
    }

    /// Begins a new page, unless nothing stands on this one.
    pub(super) fn turn(&mut self) {
        if self.is_fresh() {
            return;
        }
        self.pages.push(Page::default());
        (self.y, self.begin) = (TOP, TOP);
        if let Some(cells) = self.running.clone() {
            self.row(cells.to_vec());
            self.head_rule();
            self.begin = self.y;
        }
    }

    /// Begins a new page when less than this is left.
    pub(super) fn need(&mut self, height: f32) {
        if self.room() < height {
            self.turn();
        }
    }

    /// What happens in `fill` stands in a part of the structure.
    pub(super) fn within<T>(&mut self, tag: Tag, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push((tag, Vec::new()));
        let made = fill(self);
        let (tag, nodes) = self.open.pop().expect("each part is closed where it was opened");
        self.put(Node::Group(tag, nodes));
        made
    }

    fn put(&mut self, node: Node) {
        self.open.last_mut().map_or(&mut self.roots, |(_, nodes)| nodes).push(node);
    }

    /// A new place in the structure, inside of the part that is open.
    pub(super) fn leaf(&mut self) -> Leaf {
        let leaf = Leaf(self.leaves);
        self.leaves += 1;
        self.put(Node::Leaf(leaf));
        leaf
    }

    /// A new place inside of parts of its own.
    pub(super) fn leaf_in(&mut self, tag: Tag) -> Leaf {
        self.within(tag, Self::leaf)
    }

    /// Notes that a heading is at this place.
    pub(super) fn bookmark(&mut self, level: u8, title: &str) {
        let Place { page, y } = self.place();
        self.bookmarks.push(Bookmark { level, title: named(title, NAMED), page, y });
    }

    /// Draws what only helps the eye.
    pub(super) fn decorate(&mut self, page: usize, x: f32, y: f32, shape: Shape<'d>) {
        self.pages[page].items.push(Item { leaf: None, x, y, shape });
    }

    /// Draws something that belongs somewhere.
    pub(super) fn add(&mut self, page: usize, leaf: Leaf, x: f32, y: f32, shape: Shape<'d>) {
        self.pages[page].items.push(Item { leaf: Some(leaf), x, y, shape });
    }

    /// Sets a heading.
    pub(super) fn heading(&mut self, level: u16, style: Style, title: &'d str) {
        self.paragraph(Tag::Heading(level, named(title, NAMED)), style, title);
    }

    /// Sets a text across the page.
    pub(super) fn paragraph(&mut self, tag: Tag, style: Style, text: impl Into<Cow<'d, str>>) {
        let leaf = self.leaf_in(tag);
        self.row(vec![Cell::new(leaf, style, text, MARGIN, MEASURE)]);
    }

    /// Draws a line across the page.
    pub(super) fn rule(&mut self, thickness: f32, colour: Colour) {
        let Place { page, y } = self.place();
        self.decorate(page, MARGIN, y, Shape::Block(MEASURE, thickness, colour));
    }

    /// Draws a line along what was set since a place, on each of its pages.
    pub(super) fn side(&mut self, since: Place, width: f32, colour: Colour) {
        let end = self.place();
        for page in since.page..=end.page {
            let from = if page == since.page { since.y } else { TOP };
            let to = if page == end.page { end.y } else { BOTTOM };
            self.decorate(page, MARGIN, from, Shape::Block(width, to - from, colour));
        }
    }

    /// Sets cells that are repeated on top of every page until [`Paper::end_repeating`], and a line below them.
    ///
    /// When they are so high that little else would fit on a page, they are set once.
    pub(super) fn repeat(&mut self, cells: Vec<Cell<'d>>) {
        let repeated = cells.iter().cloned().map(|cell| Cell { leaf: None, ..cell });
        let (repeated, height) = (repeated.collect(), cells.iter().map(Cell::height).fold(0.0, f32::max));
        self.row(cells);
        self.head_rule();
        self.running = (height < (BOTTOM - TOP) / 3.0).then_some(repeated);
    }

    /// Ends what [`Paper::repeat`] began.
    pub(super) fn end_repeating(&mut self) {
        self.running = None;
    }

    fn head_rule(&mut self) {
        self.rule(0.9, Colour::Grey);
        self.lower(2.5);
    }

    /// Sets cells beside each other, their first lines on one height, and returns where they begin.
    ///
    /// They are kept on one page, unless they need more than half of one: then they begin here and go on where this page ends.
    pub(super) fn row(&mut self, mut cells: Vec<Cell<'d>>) -> Place {
        let foot = cells.iter().map(|cell| cell.style.foot()).fold(0.0, f32::max);
        let height = cells.iter().map(|cell| foot - cell.style.foot() + cell.height()).fold(0.0, f32::max);
        let most = cells.iter().map(|cell| cell.style.leading()).fold(0.0, f32::max);
        if height > self.room() && (height <= (BOTTOM - TOP) / 2.0 || self.room() < 3.0 * most) {
            self.turn();
        }
        let begin = self.place();
        let mut first = true;
        loop {
            let room = self.room();
            let mut used = 0.0_f32;
            for cell in &mut cells {
                let (leading, drop) = (cell.style.leading(), if first { foot - cell.style.foot() } else { 0.0 });
                // On a page of its own there is always progress.
                let fit = (((room - drop) / leading) as usize).max(usize::from(!first));
                let rest = cell.lines.split_off(fit.min(cell.lines.len()));
                let lines = std::mem::replace(&mut cell.lines, rest);
                used = used.max(drop + lines.len() as f32 * leading);
                let Place { page, y } = self.place();
                let mut y = y + drop;
                for line in lines {
                    let shape = Shape::Text(cell.style, line);
                    self.pages[page].items.push(Item { leaf: cell.leaf, x: cell.x, y: y + cell.style.foot(), shape });
                    y += leading;
                }
            }
            self.y += used;
            if cells.iter().all(|cell| cell.lines.is_empty()) {
                return begin;
            }
            self.turn();
            first = false;
        }
    }
}
