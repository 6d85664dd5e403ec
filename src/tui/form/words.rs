//! Several values in one line of text, as they are typed in a shell.

/// Splits a text at blanks, outside of quotes; also says whether all quotes are closed. (To shlex, a `#` begins a
/// comment, and what follows it would be lost.)
pub(super) fn split(text: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let escaped = chars.next_if(|next| matches!(next, '"' | '\\' | '$' | '`'));
                word.get_or_insert_default().push(escaped.unwrap_or('\\'));
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next().unwrap_or('\\')),
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (words, quote.is_none())
}

/// Returns a value as it has to be typed to be one.
pub(super) fn quote(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@=,+%[]#~".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(), // a shell has more that is special to it: here only blanks and quotes are
        false => shlex::try_quote(value).map_or_else(|_| value.to_owned(), |quoted| quoted.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_split_as_a_shell_does() {
        let of = |text: &str| split(text).0;
        assert_eq!(of(" a  b\tc "), ["a", "b", "c"]);
        assert_eq!(of("notes='my own' x=\"a \\\"b\\\" \\n\""), ["notes=my own", "x=a \"b\" \\n"]);
        assert_eq!(of("a\\ b '' #5"), ["a b", "", "#5"]);
        assert_eq!(split("a 'b c"), (vec!["a".into(), "b c".into()], false));
        assert_eq!(split("\\"), (vec!["\\".into()], true));
        assert!(split("").0.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_one_value_again(values in proptest::collection::vec("[^\\x00]{0,12}", 0..4)) {
            let text = values.iter().map(|value| quote(value)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&text), (values, true));
        }
    }
}
