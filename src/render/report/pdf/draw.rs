//! Pages as a file: the only place that knows krilla.

use std::num::NonZeroU16;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use krilla::annotation::{Annotation, LinkAnnotation, Target};
use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{self, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, ListNumbering, SpanTag, TableHeaderScope, Tag as Kind, TagGroup,
    TagKind, TagTree,
};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use krilla::{Document as File, SerializeSettings};

use super::font::Face;
use super::paper::{Bookmark, Colour, HEIGHT, Item, MARGIN, MEASURE, Node, Page, Shape, Style, Tag, WIDTH, named};
use super::{Error, Laid};

/// The language that reports are written in (RFC 3066).
const LANGUAGE: &str = "en";

/// Draws the pages of a document that has a title and was made at a time.
pub(super) fn draw(laid: Laid<'_>, title: &str, made: DateTime<Utc>) -> Result<Vec<u8>, Error> {
    let mut file = File::new_with(settings()?);
    file.set_metadata(about(title, made));
    let fonts = Fonts::new()?;
    let mut drawn = vec![Vec::new(); laid.leaves];
    for page in &laid.pages {
        sheet(&mut file, &fonts, page, &laid.bookmarks, &mut drawn);
    }
    file.set_outline(outline(&laid.bookmarks));
    let mut tree = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for node in laid.tree {
        grow(&mut drawn, node, &mut |made| tree.push(made));
    }
    file.set_tag_tree(tree);
    file.finish().map_err(|error| Error(format!("{error:?}")))
}

/// For archives (ISO 19005-2, level A) and for readers that don't see the pages (ISO 14289-1).
fn settings() -> Result<SerializeSettings, Error> {
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_A)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|error| Error(format!("{error:?}")))?;
    Ok(SerializeSettings { configuration, ..SerializeSettings::default() })
}

/// What the file says of itself. The time is the report's own: nothing in the file is of now.
fn about(title: &str, made: DateTime<Utc>) -> Metadata {
    let part = |number: u32| u8::try_from(number).unwrap_or_default();
    let time = metadata::DateTime::new(u16::try_from(made.year()).unwrap_or_default())
        .month(part(made.month()))
        .day(part(made.day()))
        .hour(part(made.hour()))
        .minute(part(made.minute()))
        .second(part(made.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    Metadata::new()
        .title(named(title, 300))
        .language(LANGUAGE.to_owned())
        .creator(concat!("wg-friend ", env!("CARGO_PKG_VERSION")).to_owned())
        .creation_date(time)
}

/// The fonts, as krilla takes them.
struct Fonts([Font; 3]);

impl Fonts {
    fn new() -> Result<Self, Error> {
        let font = |face: Face| {
            Font::new(face.data().into(), 0).ok_or_else(|| Error(format!("the font {face:?} can't be read")))
        };
        let [text, bold, code] = Face::ALL.map(font);
        Ok(Self([text?, bold?, code?]))
    }

    fn of(&self, face: Face) -> Font {
        let [text, bold, code] = &self.0;
        match face {
            Face::Text => text,
            Face::Bold => bold,
            Face::Code => code,
        }
        .clone()
    }
}

/// Draws a page, and notes for each leaf what was drawn of it.
fn sheet(file: &mut File, fonts: &Fonts, page: &Page<'_>, bookmarks: &[Bookmark], drawn: &mut [Vec<Identifier>]) {
    let mut sheet = file.start_page_with(PageSettings::from_wh(WIDTH, HEIGHT).expect("A4 is a size"));
    let mut surface = sheet.surface();
    for together in page.items.chunk_by(|a, b| a.leaf == b.leaf) {
        let leaf = together[0].leaf;
        let tag = match leaf {
            Some(_) => ContentTag::Span(SpanTag::empty()),
            None => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)),
        };
        let made = surface.start_tagged(tag);
        together.iter().for_each(|item| place(&mut surface, fonts, item));
        surface.end_tagged();
        if let Some(leaf) = leaf {
            drawn[leaf.0].push(made);
        }
    }
    surface.finish();
    for link in &page.links {
        let to = &bookmarks[link.bookmark];
        let Some(area) = Rect::from_xywh(MARGIN, link.y, MEASURE, link.height) else { continue };
        let target = Target::Destination(destination(to).into());
        let told = format!("{}, page {}", to.title, to.page + 1);
        let made = Annotation::new_link(LinkAnnotation::new(area, target), Some(told));
        drawn[link.leaf.0].push(sheet.add_tagged_annotation(made));
    }
    sheet.finish();
}

fn place(surface: &mut Surface<'_>, fonts: &Fonts, item: &Item<'_>) {
    match &item.shape {
        Shape::Text(style, text) => {
            surface.set_fill(Some(fill(style.colour)));
            let font = fonts.of(style.face);
            surface.draw_glyphs(Point::from_xy(item.x, item.y), &glyphs(*style, text), font, text, style.size, false);
        }
        Shape::Block(width, height, colour) => {
            surface.set_fill(Some(fill(*colour)));
            let mut path = PathBuilder::new();
            if let Some(area) = Rect::from_xywh(item.x, item.y, *width, *height) {
                path.push_rect(area);
            }
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
    }
}

fn glyphs(style: Style, text: &str) -> Vec<KrillaGlyph> {
    let glyph = |(at, c): (usize, char)| {
        let glyph = style.face.glyph(c);
        KrillaGlyph::new(GlyphId::new(glyph.id.into()), glyph.advance, 0.0, 0.0, 0.0, at..at + c.len_utf8(), None)
    };
    text.char_indices().map(glyph).collect()
}

fn fill(colour: Colour) -> Fill {
    let (red, green, blue) = match colour {
        Colour::Ink => (0x1a, 0x1a, 0x1a),
        Colour::Grey => (0x55, 0x55, 0x55),
        Colour::Rule => (0xbb, 0xbb, 0xbb),
        Colour::Dark => (0x33, 0x47, 0x5b),
        Colour::Plain => (0xb4, 0xc2, 0xd0),
        Colour::Red => (0x8b, 0x00, 0x00),
        Colour::Amber => (0xb3, 0x6b, 0x00),
    };
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}

fn destination(bookmark: &Bookmark) -> XyzDestination {
    XyzDestination::new(bookmark.page, Point::from_xy(0.0, bookmark.y))
}

/// The bookmarks as a tree: parts, and what stands in them.
fn outline(bookmarks: &[Bookmark]) -> Outline {
    let mut outline = Outline::new();
    for part in bookmarks.chunk_by(|_, next| next.level > 1) {
        let mut node = OutlineNode::new(part[0].title.clone(), destination(&part[0]));
        for inner in &part[1..] {
            node.push_child(OutlineNode::new(inner.title.clone(), destination(inner)));
        }
        outline.push_child(node);
    }
    outline
}

/// Gives the structure what was drawn of it.
fn grow(drawn: &mut [Vec<Identifier>], node: Node, put: &mut dyn FnMut(krilla::tagging::Node)) {
    match node {
        Node::Leaf(leaf) => std::mem::take(&mut drawn[leaf.0]).into_iter().for_each(|made| put(made.into())),
        Node::Group(tag, nodes) => {
            let mut group = TagGroup::new(kind(tag));
            nodes.into_iter().for_each(|node| grow(drawn, node, &mut |made| group.push(made)));
            put(group.into());
        }
    }
}

fn kind(tag: Tag) -> TagKind {
    match tag {
        Tag::Section => Kind::Section.into(),
        Tag::Heading(level, title) => Kind::Hn(NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN), Some(title)).into(),
        Tag::Paragraph => Kind::P.into(),
        Tag::Code => Kind::Code.into(),
        Tag::List => Kind::L(ListNumbering::Disc).into(),
        Tag::Item => Kind::LI.into(),
        Tag::ItemBody => Kind::LBody.into(),
        Tag::Table => Kind::Table.into(),
        Tag::TableHead => Kind::THead.into(),
        Tag::TableBody => Kind::TBody.into(),
        Tag::Row => Kind::TR.into(),
        Tag::ColumnHead => Kind::TH(TableHeaderScope::Column).into(),
        Tag::RowHead => Kind::TH(TableHeaderScope::Row).into(),
        Tag::Cell => Kind::TD.into(),
        Tag::Figure(told) => Kind::Figure(Some(told)).into(),
        Tag::Contents => Kind::TOC.into(),
        Tag::Entry => Kind::TOCI.into(),
        Tag::Reference => Kind::Reference.into(),
        Tag::Link => Kind::Link.into(),
    }
}
