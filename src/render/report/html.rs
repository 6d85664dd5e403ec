//! Reports as one page of HTML: the template has the layout, minijinja escapes every text.

use serde::Serialize;

use super::{Block, Document, Fact, Figure, Finding, Table, chart};
use crate::render::fill;

/// What the template gets.
#[derive(Serialize)]
struct Page<'d> {
    title: &'d str,
    organisation: &'d str,
    introduction: &'d [String],
    front: &'d [Fact],
    figures: &'d [Figure],
    findings: &'d [Finding],
    has_findings: bool,
    sections: Vec<Part<'d>>,
    glossary: &'d [Fact],
}

#[derive(Serialize)]
struct Part<'d> {
    title: &'d str,
    text: &'d [String],
    blocks: Vec<Drawn<'d>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Drawn<'d> {
    Table(&'d Table),
    Chart { title: &'d str, svg: String },
}

fn drawn(block: &Block) -> Drawn<'_> {
    match block {
        Block::Table(table) => Drawn::Table(table),
        Block::Chart(chart) => Drawn::Chart { title: &chart.title, svg: chart::svg(chart) },
    }
}

/// Writes a report.
pub(super) fn write(document: &Document) -> String {
    let sections = document.sections.iter().map(|section| Part {
        title: &section.title,
        text: &section.text,
        blocks: section.blocks.iter().map(drawn).collect(),
    });
    let page = Page {
        title: &document.title,
        organisation: &document.organisation,
        introduction: &document.introduction,
        front: &document.front,
        figures: &document.figures,
        findings: &document.findings,
        has_findings: document.has_findings,
        sections: sections.collect(),
        glossary: &document.glossary,
    };
    fill("report/page.html", &page)
}
