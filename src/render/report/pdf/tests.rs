//! That nothing is lost on the way to the paper, whatever a report holds.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::super::{Bar, Block, Chart, Document, Fact, Figure, Finding, Section, Table};
use super::paper::{BOTTOM, MARGIN, MEASURE, Node, Shape, TOP, Tag};
use super::{Laid, clean, lay, write};

fn made() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn document(texts: &[String]) -> Document {
    let mut at = 0;
    let mut next = || {
        at += 1;
        texts[at % texts.len()].clone()
    };
    let chart =
        Chart { title: next(), bars: (0..4).map(|n| Bar { label: next(), value: n * 7, dark: n % 2 == 0 }).collect() };
    Document {
        title: next(),
        organisation: next(),
        introduction: vec![next(), next()],
        front: vec![Fact::new(next(), next()), Fact::new(next(), next())],
        figures: vec![Figure { label: next(), value: next(), note: next() }],
        findings: vec![Finding {
            severity: "warning".into(),
            what: next(),
            concerns: vec![next(), next(), next()],
            remedy: next(),
            commands: vec![next()],
        }],
        has_findings: true,
        sections: vec![Section {
            title: next(),
            text: vec![next()],
            blocks: vec![
                Block::Table(
                    Table::new(&next(), &["one", "two", "three"], "none")
                        .with([[next(), next(), next()], [next(), next(), next()]]),
                ),
                Block::Table(Table::new(&next(), &["one"], &next())),
                Block::Chart(chart),
            ],
        }],
        glossary: vec![Fact::new(next(), next())],
    }
}

/// Every text of a document, in the order in which it is read.
fn told(document: &Document) -> Vec<String> {
    let mut told = Vec::new();
    let mut put = |text: &str| told.push(text.to_owned());
    if !document.organisation.is_empty() {
        put(&document.organisation);
    }
    put(&document.title);
    let facts =
        |facts: &[Fact]| facts.iter().flat_map(|fact| [fact.label.clone(), fact.value.clone()]).collect::<Vec<_>>();
    facts(&document.front).iter().for_each(|text| put(text));
    document.introduction.iter().for_each(|text| put(text));
    for figure in &document.figures {
        [&figure.label, &figure.value, &figure.note].into_iter().for_each(|text| put(text));
    }
    for finding in &document.findings {
        [&finding.severity, &finding.what].into_iter().for_each(|text| put(text));
        finding.concerns.iter().for_each(|text| put(text));
        put(&finding.remedy);
        finding.commands.iter().for_each(|text| put(text));
    }
    for section in &document.sections {
        put(&section.title);
        section.text.iter().for_each(|text| put(text));
        for block in &section.blocks {
            match block {
                Block::Table(table) => {
                    put(&table.title);
                    if table.rows.is_empty() {
                        put(&table.empty);
                    } else {
                        table.head.iter().chain(table.rows.iter().flatten()).for_each(|text| put(text));
                    }
                }
                Block::Chart(chart) => {
                    put(&chart.title);
                    for bar in &chart.bars {
                        put(&bar.label);
                        put(&bar.value.to_string());
                    }
                }
            }
        }
    }
    facts(&document.glossary).iter().for_each(|text| put(text));
    told
}

/// What each leaf of a structure says, in the order of the structure, without the contents.
fn read(laid: &Laid<'_>) -> Vec<String> {
    fn walk(node: &Node, said: &mut [Vec<String>], read: &mut Vec<String>) {
        match node {
            Node::Group(Tag::Contents, _) => {}
            Node::Group(_, nodes) => nodes.iter().for_each(|node| walk(node, said, read)),
            Node::Leaf(leaf) => read.push(std::mem::take(&mut said[leaf.0]).concat()),
        }
    }
    let mut said = vec![Vec::new(); laid.leaves];
    for item in laid.pages.iter().flat_map(|page| &page.items) {
        if let (Some(leaf), Shape::Text(_, text)) = (item.leaf, &item.shape) {
            said[leaf.0].push(text.clone().into_owned());
        }
    }
    let mut read = Vec::new();
    laid.tree.iter().for_each(|node| walk(node, &mut said, &mut read));
    read
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![
        "\\PC{0,40}",
        "[a-z]{1,12}( [a-z]{1,12}){0,30}",
        "[A-Za-z0-9+/]{43}=",
        proptest::char::any().prop_map(String::from),
        Just("long ".repeat(1_000)),
        Just("x".repeat(3_000)),
    ];
    proptest::collection::vec(text, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_text_stands_in_the_structure_once_and_on_the_paper(texts in texts()) {
        let document = document(&texts);
        let laid = lay(&document);
        let mut read = read(&laid).into_iter();
        for text in told(&document) {
            let wanted = if text.is_empty() { " ".to_owned() } else { clean(&text).into_owned() };
            // Headings that the program adds stand in between.
            prop_assert!(read.any(|found| found == wanted), "{wanted:.60}");
        }
        for item in laid.pages.iter().flat_map(|page| &page.items) {
            let (right, bottom) = match &item.shape {
                Shape::Text(style, text) => (item.x + style.width(text.trim_end_matches(' ')), item.y),
                Shape::Block(width, height, _) => (item.x + width, item.y + height - 4.0),
            };
            let is_number = item.leaf.is_none() && item.y > BOTTOM;
            prop_assert!(item.x >= MARGIN - 0.1 && item.y >= TOP - 0.1 && (bottom <= BOTTOM + 0.1 || is_number), "{item:?}");
            prop_assert!(right <= MARGIN + MEASURE + 1.0, "{item:?}");
        }
    }
}

proptest! {
    // Fonts are made for each: seconds in a build that isn't optimised.
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn every_text_can_be_written_and_gives_the_same_bytes_again(texts in texts()) {
        let document = document(&texts);
        let written = write(&document, made()).unwrap();
        prop_assert!(written.starts_with(b"%PDF-1.7"));
        prop_assert!(written == write(&document, made()).unwrap());
    }
}

fn members(count: usize) -> Document {
    let rows = (0..count).map(|n| {
        [format!("member-{n}"), "10.66.1.2".into(), format!("{}end", format!("what is said of number {n}: ").repeat(3))]
    });
    let table = Table::new("Members", &["name", "address", "notes"], "none").with(rows);
    Document {
        title: "Inventory".into(),
        sections: vec![Section { title: "Members".into(), text: Vec::new(), blocks: vec![Block::Table(table)] }],
        ..Document::default()
    }
}

/// The texts on a page, from its beginning.
fn page<'l>(laid: &'l Laid<'_>, at: usize) -> impl Iterator<Item = &'l str> {
    laid.pages[at].items.iter().filter_map(|item| match &item.shape {
        Shape::Text(_, text) => Some(&**text),
        Shape::Block(..) => None,
    })
}

#[test]
fn the_headings_of_a_long_table_stand_on_each_of_its_pages() {
    let (some, many) = (members(1_000), members(10_000));
    let (some, many) = (lay(&some), lay(&many));
    let (few, pages) = (some.pages.len() - 2, many.pages.len() - 2);
    assert!(few > 20 && pages.abs_diff(few * 10) < 12, "{few} and {pages}");
    for at in 3..many.pages.len() {
        assert_eq!(page(&many, at).take(3).collect::<Vec<_>>(), ["name", "address", "notes"], "page {at}");
        assert_eq!(page(&many, at).last(), Some(&*format!("{} of {}", at + 1, pages + 2)));
        // What is repeated is no part of the structure.
        assert_eq!(many.pages[at].items[0].leaf, None);
    }
}

#[test]
fn rows_stay_whole_and_a_cell_that_needs_more_than_a_page_goes_on_where_the_page_ends() {
    let some = members(200);
    let laid = lay(&some);
    for at in 2..laid.pages.len() {
        let names = page(&laid, at).filter(|text| text.starts_with("member-")).count();
        let ends = page(&laid, at).filter(|text| text.ends_with("end")).count();
        assert_eq!(names, ends, "page {at}");
    }
    let mut one = members(1);
    let Block::Table(table) = &mut one.sections[0].blocks[0] else { panic!("a table") };
    table.rows[0][2] = "word ".repeat(20_000);
    let laid = lay(&one);
    assert!(laid.pages.len() > 8, "{}", laid.pages.len());
    for at in 3..laid.pages.len() {
        assert_eq!(page(&laid, at).take(3).collect::<Vec<_>>(), ["name", "address", "notes"], "page {at}");
    }
    assert!(read(&laid).contains(&"word ".repeat(20_000)));
}

#[test]
fn contents_and_bookmarks_lead_to_where_the_headings_are() {
    let mut document = members(150);
    let again = document.sections[0].clone();
    document.sections.extend((0..60).map(|n| Section { title: format!("Part {n}"), ..again.clone() }));
    let laid = lay(&document);
    assert_eq!(laid.bookmarks.len(), 122);
    let mut links = 0;
    for (at, contents) in laid.pages.iter().enumerate().take(laid.bookmarks[0].page) {
        for link in &contents.links {
            let to = &laid.bookmarks[link.bookmark];
            let on_line = contents
                .items
                .iter()
                .filter(|item| item.leaf.is_some() && (link.y..link.y + link.height).contains(&item.y));
            let said: Vec<String> = on_line
                .map(|item| match &item.shape {
                    Shape::Text(_, text) => text.clone().into_owned(),
                    Shape::Block(..) => panic!("no bars in the contents"),
                })
                .collect();
            assert_eq!(said, [to.title.clone(), (to.page + 1).to_string()], "page {at}");
            assert!(page(&laid, to.page).any(|text| text == to.title), "{to:?}");
            links += 1;
        }
    }
    assert_eq!(links, laid.bookmarks.len());
    assert!(laid.pages[..laid.bookmarks[0].page].len() > 3, "the contents need more than a page");
}

#[test]
fn a_report_with_nothing_in_it_is_one_too() {
    assert!(write(&Document::default(), made()).unwrap().starts_with(b"%PDF-1.7"));
}
