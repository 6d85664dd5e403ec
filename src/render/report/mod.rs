//! Reports for people: one model of a document, and a writer for each format.
//!
//! A [`Document`] has a front, figures, findings and sections of paragraphs, tables and bar charts. Nothing in it is markup:
//! every text is escaped by the writer, for its own format.

mod chart;
mod csv;
mod html;
mod markdown;
mod pdf;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use pdf::Error as PdfError;

/// A report, ready to be written in any format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// What it is called.
    pub title: String,
    /// For whom: the line above the title; may be empty.
    pub organisation: String,
    /// What it is about and how to read it, a paragraph each.
    pub introduction: Vec<String>,
    /// What the front page says of itself: period, time, database.
    pub front: Vec<Fact>,
    /// The totals.
    pub figures: Vec<Figure>,
    /// What needs attention, the gravest first.
    pub findings: Vec<Finding>,
    /// Whether findings belong to this report at all: without, an empty list says nothing.
    pub has_findings: bool,
    /// The details.
    pub sections: Vec<Section>,
    /// What its words mean.
    pub glossary: Vec<Fact>,
}

/// A label and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// Its value.
    pub value: String,
}

impl Fact {
    /// A label with its value.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into() }
    }
}

/// A total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// Of what.
    pub label: String,
    /// The number, with its unit.
    pub value: String,
    /// What else to know; may be empty.
    pub note: String,
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave, in a word: `critical`, `warning`, `info`.
    pub severity: String,
    /// What it is.
    pub what: String,
    /// What or whom it concerns, and since when, one line each.
    pub concerns: Vec<String>,
    /// What mends it.
    pub remedy: String,
    /// The commands that do.
    pub commands: Vec<String>,
}

/// A part of a report with a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Paragraphs below it.
    pub text: Vec<String>,
    /// What stands in it.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Rows and columns.
    Table(Table),
    /// Numbers as bars.
    Chart(Chart),
}

/// Rows and columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What its columns are.
    pub head: Vec<String>,
    /// As many cells each as the head has.
    pub rows: Vec<Vec<String>>,
    /// What is said when it has no rows.
    pub empty: String,
}

impl Table {
    /// A table without rows.
    pub fn new(title: &str, head: &[&str], empty: &str) -> Self {
        let head = head.iter().map(|word| (*word).to_owned()).collect();
        Self { title: title.to_owned(), head, rows: Vec::new(), empty: empty.to_owned() }
    }

    /// The table with rows, of as many cells as its head has.
    pub fn with<const N: usize>(mut self, rows: impl IntoIterator<Item = [String; N]>) -> Self {
        debug_assert_eq!(self.head.len(), N, "{}", self.title);
        self.rows.extend(rows.into_iter().map(Vec::from));
        self
    }
}

/// Numbers as bars. Two readings of a thing share one bar: the part is drawn dark within the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// How long it is.
    pub value: usize,
    /// Whether it is drawn dark: what the reader should see first.
    pub dark: bool,
}

impl Document {
    /// Writes it as GitHub-flavoured Markdown.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// Writes it as CSV (RFC 4180) for spreadsheets: every record has as many fields.
    pub fn csv(&self) -> String {
        csv::write(self)
    }

    /// Writes it as one page of HTML that needs nothing else, for screens and for paper.
    pub fn html(&self) -> String {
        html::write(self)
    }

    /// Writes it as PDF for archives (PDF/A-2a) and for readers of every kind (PDF/UA-1), as made at a time. The same document
    /// and time give the same bytes.
    ///
    /// # Errors
    /// When it is larger than such a file may be.
    pub fn pdf(&self, made: DateTime<Utc>) -> Result<Vec<u8>, PdfError> {
        pdf::write(self, made)
    }
}

#[cfg(test)]
mod tests;
