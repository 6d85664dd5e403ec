//! Whatever a text holds, it stays text in every format.

use proptest::prelude::*;

use super::{Bar, Block, Chart, Document, Fact, Figure, Finding, Section, Table, chart, csv, markdown};

/// A small report in which each kind of thing stands once, with one text in every place.
fn document(text: &str) -> Document {
    Document {
        title: text.into(),
        organisation: text.into(),
        introduction: vec![text.into()],
        front: vec![Fact::new(text, text)],
        figures: vec![Figure { label: text.into(), value: "2".into(), note: text.into() }],
        findings: vec![Finding {
            severity: "warning".into(),
            what: text.into(),
            concerns: vec![text.into()],
            remedy: text.into(),
            commands: vec![text.into()],
        }],
        has_findings: true,
        sections: vec![Section {
            title: text.into(),
            text: vec![text.into()],
            blocks: vec![
                Block::Table(Table::new(text, &["a", "b"], "none").with([[text.to_owned(), "1".to_owned()]])),
                Block::Chart(Chart {
                    title: text.into(),
                    bars: vec![Bar { label: text.into(), value: 3, dark: true }],
                }),
            ],
        }],
        glossary: vec![Fact::new(text, text)],
    }
}

/// Reads CSV as RFC 4180 has it: an own reader, so that the writer isn't measured by itself.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {
                assert_eq!(rest.next(), Some('\n'), "records end with both");
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(!quoted && record.is_empty() && field.is_empty(), "the last record ends too");
    records
}

/// How often each tag opens in HTML.
fn tags(html: &str) -> Vec<String> {
    html.split('<').skip(1).map(|rest| rest.split([' ', '>']).next().unwrap_or_default().to_owned()).collect()
}

const NASTY: [&str; 12] = [
    "a|b",
    "=1+2",
    "+cmd",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "<script>alert(1)</script>",
    "\"quoted\", twice",
    "two\nlines",
    "1. list",
    "**bold** `code` [link](x) ![i](y)",
    "&lt; \\| 😀 ü",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(NASTY.to_vec()).prop_map(str::to_owned),
        "\\PC{0,30}",
        "[=+@|<>&\"'\\\\`*_\\-\r\n\t,#0-9. ]{0,20}",
    ]
}

proptest! {
    #[test]
    fn no_text_adds_an_element_to_html(text in texts()) {
        let (made, plain) = (document(&text), document("plain"));
        let filled = |document: &Document| tags(&document.html());
        // An organisation that is empty is left out, whatever it is else.
        prop_assume!(!text.is_empty());
        prop_assert_eq!(filled(&made), filled(&plain));
    }

    #[test]
    fn no_text_adds_a_record_or_a_field_to_csv_or_is_a_formula(text in texts()) {
        prop_assume!(!text.is_empty());
        let (made, plain) = (document(&text).csv(), document("plain").csv());
        let (made, plain) = (read_csv(&made), read_csv(&plain));
        prop_assert_eq!(made.len(), plain.len());
        for record in &made {
            prop_assert_eq!(record.len(), plain[0].len());
            for field in record {
                let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
                prop_assert!(!formula || field.parse::<f64>().is_ok_and(f64::is_finite), "{field:?}");
            }
        }
        let told = made.iter().flatten().any(|field| *field == text || *field == format!("'{text}"));
        prop_assert!(told, "the text itself is there");
    }

    #[test]
    fn no_text_adds_a_line_or_a_column_to_markdown(text in texts()) {
        prop_assume!(!text.is_empty());
        let (made, plain) = (document(&text).markdown(), document("plain").markdown());
        prop_assert_eq!(made.lines().count(), plain.lines().count());
        let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
        for (made, plain) in made.lines().zip(plain.lines()).filter(|(_, plain)| plain.starts_with('|')) {
            prop_assert_eq!(bars(made), bars(plain), "{}", made);
        }
    }

    #[test]
    fn escaped_markdown_says_the_same(text in "[^\\p{C}\u{2028}\u{2029}]{0,30}") {
        let escaped = markdown::escape(&text);
        let mut read = String::new();
        let mut rest = escaped.chars().peekable();
        while let Some(c) = rest.next() {
            let next = rest.peek().filter(|next| next.is_ascii_punctuation()).copied();
            match (c, next) {
                ('\\', Some(next)) => { read.push(next); rest.next(); }
                _ => read.push(c),
            }
        }
        prop_assert_eq!(read, text);
    }
}

#[test]
fn numbers_are_no_formulas() {
    for (field, tamed) in [("-5", "-5"), ("+3.5", "+3.5"), ("-5+2", "'-5+2"), ("=1", "'=1"), ("-inf", "'-inf")] {
        assert_eq!(csv::tame(field), tamed);
    }
    assert_eq!(csv::quote("a,b\"c"), "\"a,b\"\"c\"");
}

#[test]
fn bars_are_as_long_as_their_numbers_say() {
    let bar = |label: &str, value| Bar { label: label.into(), value, dark: false };
    let bars = vec![bar("a", 0), bar("b", 1), bar("c", 4)];
    let drawn = Chart { title: "t".into(), bars };
    let svg = chart::svg(&drawn);
    let widths: Vec<&str> = svg.split(" width=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(widths, ["0", "105", "420"]);
    let none = Chart { title: "t".into(), bars: vec![bar("a", 0)] };
    assert!(chart::svg(&none).contains("width=\"0\""));
}
