//! The parts of a report, one below the other.

use super::super::{Block, Chart, Document, Fact, Figure, Finding, Section};
use super::paper::{Bookmark, Cell, Colour, Link, MARGIN, MEASURE, Paper, Place, Shape, Style, Tag, named};
use super::table;

/// Paragraphs.
const BODY: Style = Style::text(9.5);
/// Labels and what is said to them.
const LABEL: Style = Style::bold(8.8);
const VALUE: Style = Style::text(8.8);
/// From one column to the next.
const GAP: f32 = 10.0;

/// The front page: what the report is, for whom, about which time, and how to read it.
pub(super) fn front<'d>(paper: &mut Paper<'d>, document: &'d Document) {
    paper.lower(64.0);
    if !document.organisation.is_empty() {
        paper.paragraph(Tag::Paragraph, Style::text(12.0).in_colour(Colour::Grey), &*document.organisation);
        paper.skip(4.0);
    }
    paper.heading(1, Style::bold(25.0), &document.title);
    paper.skip(8.0);
    paper.rule(2.0, Colour::Dark);
    paper.skip(22.0);
    facts(paper, &document.front);
    paper.skip(22.0);
    paragraphs(paper, &document.introduction);
}

/// The table of contents: where each bookmark is, `before` pages further back than it says.
pub(super) fn contents<'d>(paper: &mut Paper<'d>, bookmarks: &[Bookmark], before: usize) {
    const NUMBER: f32 = 40.0;
    paper.heading(2, Style::bold(16.0), "Contents");
    paper.skip(10.0);
    paper.within(Tag::Contents, |paper| {
        for (at, bookmark) in bookmarks.iter().enumerate() {
            let (style, indent) = if bookmark.level == 1 { (LABEL, 0.0) } else { (VALUE, 14.0) };
            paper.skip(if bookmark.level == 1 { 5.0 } else { 0.5 });
            let width = MEASURE - indent - NUMBER;
            let number = (bookmark.page + before + 1).to_string();
            let right = MARGIN + MEASURE - style.width(&number);
            let (mark, leaf) = paper.within(Tag::Entry, |paper| {
                paper.within(Tag::Reference, |paper| paper.within(Tag::Link, |paper| (paper.leaf(), paper.leaf())))
            });
            let title = Cell::new(leaf, style, bookmark.title.clone(), MARGIN + indent, width);
            let height = title.height();
            let filled = MARGIN + indent + title.lines.first().map_or(0.0, |line| style.width(line)) + 4.0;
            let number = Cell::new(leaf, style, number, right, NUMBER);
            let Place { page, y } = paper.row(vec![title, number]);
            let dots = ((right - 4.0 - filled) / VALUE.width(".")).max(0.0) as usize;
            let leader = VALUE.in_colour(Colour::Rule);
            let x = right - 4.0 - dots as f32 * VALUE.width(".");
            paper.decorate(page, x, y + style.foot(), Shape::Text(leader, ".".repeat(dots).into()));
            paper.pages[page].links.push(Link { leaf: mark, y, height, bookmark: at });
        }
    });
}

/// Everything else, with a bookmark for each part and for what stands in it.
pub(super) fn body<'d>(paper: &mut Paper<'d>, document: &'d Document) {
    if !document.figures.is_empty() {
        part(paper, "At a glance", |paper| figures(paper, &document.figures));
    }
    if document.has_findings {
        paper.need(140.0);
        part(paper, "What needs attention", |paper| {
            if document.findings.is_empty() {
                paper.paragraph(Tag::Paragraph, BODY, "Nothing that this report is about.");
            }
            document.findings.iter().for_each(|found| finding(paper, found));
        });
    }
    for section in &document.sections {
        paper.turn();
        part(paper, &section.title, |paper| fill(paper, section));
    }
    if !document.glossary.is_empty() {
        paper.turn();
        part(paper, "Words", |paper| facts(paper, &document.glossary));
    }
}

fn part<'d>(paper: &mut Paper<'d>, title: &'d str, fill: impl FnOnce(&mut Paper<'d>)) {
    paper.skip(20.0);
    paper.within(Tag::Section, |paper| {
        paper.bookmark(1, title);
        paper.heading(2, Style::bold(16.0), title);
        paper.skip(2.0);
        paper.rule(1.2, Colour::Ink);
        paper.skip(10.0);
        fill(paper);
    });
}

/// The heading of something in a part, kept together with what follows.
pub(super) fn caption<'d>(paper: &mut Paper<'d>, title: &'d str, with: f32) {
    let style = Style::bold(10.5);
    paper.skip(16.0);
    paper.need(style.leading() + with);
    paper.bookmark(2, title);
    paper.heading(3, style, title);
    paper.skip(4.0);
}

fn paragraphs<'d>(paper: &mut Paper<'d>, paragraphs: &'d [String]) {
    for paragraph in paragraphs {
        paper.paragraph(Tag::Paragraph, BODY, &**paragraph);
        paper.skip(6.0);
    }
}

fn fill<'d>(paper: &mut Paper<'d>, section: &'d Section) {
    paragraphs(paper, &section.text);
    for block in &section.blocks {
        match block {
            Block::Table(block) => table::set(paper, block),
            Block::Chart(block) => chart(paper, block),
        }
    }
}

/// Labels with their values.
fn facts<'d>(paper: &mut Paper<'d>, facts: &'d [Fact]) {
    let widest = facts.iter().map(|fact| LABEL.width(&fact.label)).fold(0.0, f32::max);
    let left = (widest + 2.0).min(MEASURE * 0.32);
    paper.within(Tag::Table, |paper| {
        for fact in facts {
            paper.within(Tag::Row, |paper| {
                let (label, value) = (paper.leaf_in(Tag::RowHead), paper.leaf_in(Tag::Cell));
                let right = left + GAP + 4.0;
                paper.row(vec![
                    Cell::new(label, LABEL, &*fact.label, MARGIN, left),
                    Cell::new(value, VALUE, &*fact.value, MARGIN + right, MEASURE - right),
                ]);
                paper.skip(5.0);
            });
        }
    });
}

/// The totals: what, how many, and what else to know.
fn figures<'d>(paper: &mut Paper<'d>, figures: &'d [Figure]) {
    let columns = [0.36, 0.2, 0.44].map(|part| part * MEASURE);
    let at = [MARGIN, MARGIN + columns[0], MARGIN + columns[0] + columns[1]];
    let set = |paper: &mut Paper<'d>, tag: &Tag, cells: [(&'d str, Style); 3]| {
        let mut column = 0;
        cells.map(|(text, style)| {
            let cell = Cell::new(paper.leaf_in(tag.clone()), style, text, at[column], columns[column] - GAP);
            column += 1;
            cell
        })
    };
    paper.within(Tag::Table, |paper| {
        let head = table::HEAD;
        paper.within(Tag::TableHead, |paper| {
            let cells = paper.within(Tag::Row, |paper| {
                set(paper, &Tag::ColumnHead, [("what", head), ("how many", head), ("note", head)])
            });
            paper.repeat(cells.to_vec());
        });
        paper.within(Tag::TableBody, |paper| {
            for figure in figures {
                paper.skip(4.0);
                let cells = paper.within(Tag::Row, |paper| {
                    let note = Style::text(8.5).in_colour(Colour::Grey);
                    let texts = [
                        (&*figure.label, Style::text(9.5)),
                        (&*figure.value, Style::bold(12.0)),
                        (&*figure.note, note),
                    ];
                    set(paper, &Tag::Cell, texts)
                });
                paper.row(cells.to_vec());
                paper.lower(3.0);
                paper.rule(0.4, Colour::Rule);
            }
        });
        paper.end_repeating();
    });
}

/// What needs attention, with a line beside it that says how much.
fn finding<'d>(paper: &mut Paper<'d>, finding: &'d Finding) {
    const INNER: f32 = MARGIN + 14.0;
    const SECOND: f32 = INNER + 56.0;
    const WIDE: f32 = MARGIN + MEASURE - SECOND;
    let (colour, width) = match &*finding.severity {
        "critical" => (Colour::Red, 5.0),
        "warning" => (Colour::Amber, 3.0),
        _ => (Colour::Grey, 1.0),
    };
    paper.skip(12.0);
    paper.need(70.0);
    let begin = paper.place();
    paper.within(Tag::Section, |paper| {
        let severity = paper.leaf_in(Tag::Paragraph);
        let what = paper.leaf_in(Tag::Heading(3, named(&finding.what, 300)));
        paper.row(vec![
            Cell::new(severity, Style::bold(8.5).in_colour(colour), &*finding.severity, INNER, SECOND - INNER - 4.0),
            Cell::new(what, Style::bold(9.5), &*finding.what, SECOND, WIDE),
        ]);
        paper.skip(2.0);
        concerns(paper, &finding.concerns, SECOND, WIDE);
        paper.skip(2.0);
        let (label, remedy) = (paper.leaf_in(Tag::Paragraph), paper.leaf_in(Tag::Paragraph));
        paper.row(vec![
            Cell::new(label, VALUE.in_colour(Colour::Grey), "remedy", INNER, SECOND - INNER - 4.0),
            Cell::new(remedy, VALUE, &*finding.remedy, SECOND, WIDE),
        ]);
        for command in &finding.commands {
            let leaf = paper.leaf_in(Tag::Code);
            paper.row(vec![Cell::new(leaf, Style::code(8.0), &**command, SECOND, WIDE)]);
        }
    });
    paper.side(begin, width, colour);
}

/// What or whom a finding concerns: in up to three columns, since it may be everybody.
fn concerns<'d>(paper: &mut Paper<'d>, concerns: &'d [String], left: f32, width: f32) {
    const BULLET: f32 = 8.0;
    let widest = concerns.iter().map(|line| VALUE.width(line)).fold(0.0, f32::max);
    let columns = (1..=3).rev().find(|n| widest + BULLET + GAP <= width / *n as f32).unwrap_or(1);
    let step = width / columns as f32;
    paper.within(Tag::List, |paper| {
        for line in concerns.chunks(columns) {
            let cells = line.iter().enumerate().map(|(column, concern)| {
                let leaf = paper.within(Tag::Item, |paper| paper.leaf_in(Tag::ItemBody));
                Cell::new(leaf, VALUE, &**concern, left + column as f32 * step + BULLET, step - BULLET - 2.0)
            });
            let cells: Vec<Cell<'d>> = cells.collect();
            let Place { page, y } = paper.row(cells);
            for column in 0..line.len() {
                let x = left + column as f32 * step;
                paper.decorate(page, x, y + VALUE.foot(), Shape::Text(VALUE.in_colour(Colour::Grey), "•".into()));
            }
        }
    });
}

/// Bars, each with its label before it and its number behind it.
fn chart<'d>(paper: &mut Paper<'d>, chart: &'d Chart) {
    const LABELS: f32 = 165.0;
    const LONGEST: f32 = MEASURE - LABELS - 50.0;
    let style = Style::text(8.5);
    caption(paper, &chart.title, 40.0);
    let most = chart.bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let told: Vec<String> = chart.bars.iter().map(|bar| format!("{}: {}", bar.label, bar.value)).collect();
    let told = named(&format!("{}. {}", chart.title, told.join(", ")), 4_000);
    paper.within(Tag::Figure(told), |paper| {
        for bar in &chart.bars {
            let (label, count) = (paper.leaf(), paper.leaf());
            let length = bar.value as f32 / most as f32 * LONGEST;
            let number = bar.value.to_string();
            let place = paper.row(vec![
                Cell::new(label, style, &*bar.label, MARGIN, LABELS - GAP),
                Cell::new(count, style, number, MARGIN + LABELS + length + 5.0, 60.0),
            ]);
            if bar.value > 0 {
                let colour = if bar.dark { Colour::Dark } else { Colour::Plain };
                let shape = Shape::Block(length.max(1.0), style.leading() - 2.0, colour);
                paper.add(place.page, count, MARGIN + LABELS, place.y + 1.0, shape);
            }
            paper.skip(4.0);
        }
    });
}
