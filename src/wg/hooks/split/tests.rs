use proptest::prelude::*;

use super::*;

/// Writes a line the way it was read: a letter per part, words separated by `|`.
fn shape(line: &str) -> String {
    let mut shape = Vec::new();
    for part in split(line).parts {
        match part {
            Part::Blank(_) => {}
            Part::Comment(span) => shape.push(format!("comment {}", &line[span])),
            Part::Separator(separator, _) => shape.push(format!("{separator:?}")),
            Part::Command(command) => {
                let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
                let mut text = format!("[{}]", words.join("|"));
                for redirect in &command.redirects {
                    let descriptor = redirect.descriptor.map_or_else(String::new, |number| number.to_string());
                    text.push_str(&format!(" {descriptor}{}{}", redirect.operator, redirect.target.text));
                }
                if let Some((beyond, span)) = command.beyond {
                    text.push_str(&format!(" {beyond:?} at {}", &line[span]));
                }
                shape.push(text);
            }
        }
    }
    shape.join("\n")
}

#[test]
fn a_word_that_goes_on_in_the_next_line_is_still_the_shells_own() {
    for word in ["do", "then", "if", "{", "!"] {
        let whole = format!("{word} ip a");
        let continued = format!("{}\\\n{} ip a", &word[..1], &word[1..]);
        let beyond = |line: &str| match split(line).parts.remove(0) {
            Part::Command(command) => command.beyond.map(|(beyond, _)| beyond),
            part => panic!("{line:?} begins with {part:?}"),
        };
        assert!(beyond(&whole).is_some(), "{whole:?}");
        assert_eq!(beyond(&continued), beyond(&whole), "{continued:?}");
    }
}

#[test]
fn what_is_quoted_belongs_to_one_command() {
    insta::assert_snapshot!(shape("nft 'add chain ip t c { type nat hook postrouting priority 100 ; }'; ip a"), @"
    [nft|add chain ip t c { type nat hook postrouting priority 100 ; }]
    Semicolon
    [ip|a]
    ");
    insta::assert_snapshot!(shape(r"nft add chain ip t c { type nat hook postrouting priority 100 \; } && true"), @"
    [nft|add|chain|ip|t|c|{|type|nat|hook|postrouting|priority|100|;|}]
    And
    [true]
    ");
    insta::assert_snapshot!(shape(r#"logger "a;b && 'c' \"d\" \x" e\ f "#), @r#"[logger|a;b && 'c' "d" \x|e f]"#);
}

#[test]
fn separators_part_commands_and_comments_end_them() {
    insta::assert_snapshot!(shape("a b;c&&d||e & f # g; h"), @"
    [a|b]
    Semicolon
    [c]
    And
    [d]
    Or
    [e]
    Background
    [f]
    comment # g; h
    ");
    insta::assert_snapshot!(shape("a#b c"), @"[a#b|c]");
}

#[test]
fn what_the_shell_works_out_stays_in_one_piece() {
    insta::assert_snapshot!(shape("iptables -I OUTPUT ! -o wg0 --mark $(wg show wg0 fwmark; true) -j REJECT; x"), @"
    [iptables|-I|OUTPUT|!|-o|wg0|--mark|$(wg show wg0 fwmark; true)|-j|REJECT] Substitution at $(wg show wg0 fwmark; true)
    Semicolon
    [x]
    ");
    insta::assert_snapshot!(shape("for i in /proc/*; do if [ $i = 1 ]; then echo 2 > $i; fi; done; ip a"), @"
    [for|i|in|/proc/*|do|if|[|$i|=|1|]|then|echo|2|fi|done] >$i Compound at for
    Semicolon
    [ip|a]
    ");
    insta::assert_snapshot!(shape("curl x | sh; (ip a; ip b) && { ip c; }; ip d"), @"
    [curl|x|sh] Pipe at |
    Semicolon
    [ip|a|ip|b] Compound at (
    And
    [{|ip|c|}] Compound at {
    Semicolon
    [ip|d]
    ");
    insta::assert_snapshot!(shape(r#"wg set wg0 private-key <(pass "a;b") 2>/dev/null >&2"#), @r#"[wg|set|wg0|private-key|<(pass "a;b")] 2>/dev/null >&2 Substitution at <(pass "a;b")"#);
    insta::assert_snapshot!(shape("ip a `x;y`; b ${c:-d;e} *.f ~/g {h,i} $'j'"), @"
    [ip|a|`x;y`] Substitution at `x;y`
    Semicolon
    [b|${c:-d;e}|*.f|~/g|{h,i}|$'j'] Variable at ${c:-d;e}
    ");
    insta::assert_snapshot!(shape("case $a in b|c) d;; esac; e"), @"
    [case|$a|in|b|c|d|esac] Compound at case
    Semicolon
    [e]
    ");
    insta::assert_snapshot!(shape("[[ a < b || c && d ]] && e"), @"
    [[[|a|c|d|]]] <b Compound at [[
    And
    [e]
    ");
}

#[test]
fn what_bash_refuses_stays_whole() {
    for line in [
        "a ;; b",
        "; a",
        "a && ",
        "a || ; b",
        "a |",
        "'a",
        "\"a",
        "$(a",
        "`a",
        "a )",
        "if a; then b",
        "a > ",
        "done",
        "{ a",
        "}",
        "a <<b",
        "a\\",
        "a & ; b",
    ] {
        let script = split(line);
        let commands: Vec<&Command> = script.commands().collect();
        assert_eq!(commands.len(), 1, "{line}");
        assert!(matches!(commands[0].beyond, Some((Beyond::Syntax, _))), "{line}");
        assert!(commands[0].words.is_empty(), "{line}");
    }
}

/// Pieces of shell, so that generated lines are more than noise.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => proptest::sample::select(vec![
            "ip", "iptables", "-A", "FORWARD", " ", " ", " ", ";", "&&", "||", "|", "&", "'", "\"", "\\", "$", "`", "(",
            ")", "{", "}", "[", "]", "#", "\n", "\t", "<", ">", "2>/dev/null", "$(", "${", "if ", "then ", "fi",
            "case ", "esac", "do ", "done", "true", "*", "~", "=", "!", "%i", ";;", "ä", "\r",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_byte_of_a_line_is_accounted_for(line in line()) {
        let script = split(&line);
        let mut at = 0;
        for part in &script.parts {
            let span = part.span();
            prop_assert_eq!(span.start, at);
            prop_assert!(span.end > span.start);
            at = span.end;
        }
        prop_assert_eq!(at, line.len());
        for command in script.commands() {
            let inner = command.words.iter().map(|word| &word.span).chain(command.redirects.iter().map(|r| &r.span));
            for span in inner {
                prop_assert!(command.span.start <= span.start && span.end <= command.span.end);
                prop_assert!(line.get(span.clone()).is_some());
            }
            prop_assert!(command.words.windows(2).all(|two| two[0].span.end <= two[1].span.start));
        }
    }
}
