//! What README and `docs/` say is true: commands parse, links lead somewhere, names exist, the reference is up to date.
//!
//! `UPDATE_DOCS=1 ./test docs` writes the reference of the command line anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

/// Where errors are told that a user can meet.
const ERRORS: &[&str] = &[
    "crates/crypt/src/lib.rs",
    "src/db/error.rs",
    "src/db/shares.rs",
    "src/fleet/error.rs",
    "src/ops/deploy/error.rs",
    "src/ops/error.rs",
    "src/ops/import/foreign/error.rs",
    "src/ops/import/foreign/mod.rs",
    "src/ops/network/shared_host.rs",
    "src/render/report/pdf/mod.rs",
    "src/settings.rs",
    "src/wg/adopt/finding.rs",
    "src/wg/compile/refusal.rs",
    "src/wg/formats/error.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the files below a folder whose name ends so, as paths from the root, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns the pages with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = files("docs", ".md");
    paths.extend(["README.md".into(), "CHANGELOG.md".into()]);
    paths.into_iter().map(|path| (path.clone(), read(path))).collect()
}

/// A page taken apart: lines of fenced blocks with the block's language, and lines of text.
fn lines(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut fence = None;
    text.lines().filter_map(move |line| match (line.strip_prefix("```"), fence) {
        (Some(language), None) => {
            fence = Some(language);
            None
        }
        (Some(_), Some(_)) => {
            fence = None;
            None
        }
        (None, language) => Some((language, line)),
    })
}

/// Returns what stands between single backticks in the text of a page, outside of fenced blocks.
fn code_spans(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, line) in lines(text).filter(|(language, _)| language.is_none()) {
        found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

/// Returns the invocations of wg-friend in a line of shell: their words.
fn invocations(line: &str) -> Vec<Vec<String>> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("no line of shell: {line}"));
    let is_operator = |word: &String| matches!(word.as_str(), "|" | "||" | "&&" | ";" | ">" | ">>" | "<");
    words
        .split(is_operator)
        .map(|command| command.iter().skip_while(|word| word.contains('=')).cloned().collect::<Vec<_>>())
        .filter(|command| command.first().is_some_and(|word| word == "wg-friend"))
        .collect()
}

/// Whether the program understands an invocation. A mention in a sentence may leave out what the command needs.
fn understood(words: &[String], mention: bool) -> Result<(), String> {
    let Err(error) = wg_friend::cli::definition().try_get_matches_from(words) else { return Ok(()) };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if mention =>
        {
            Ok(())
        }
        _ => Err(format!("`{}`: {error}", words.join(" "))),
    }
}

#[test]
fn every_command_line_in_the_pages_is_one_that_the_program_understands() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let mut check = |line: &str, mention: bool| {
            for words in invocations(line) {
                seen += 1;
                if let Err(why) = understood(&words, mention) {
                    wrong.push(format!("{}: {why}", path.display()));
                }
            }
        };
        for (language, line) in lines(&text) {
            match language {
                Some("console") => check(line.strip_prefix("$ ").unwrap_or_default(), false),
                Some("sh") => check(line, false),
                Some("ini") => check(line.strip_prefix("ExecStart=").unwrap_or_default(), false),
                _ => {}
            }
        }
        for span in code_spans(&text).iter().filter(|span| span.starts_with("wg-friend ")) {
            check(span, true);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 100, "only {seen} command lines were found: does this test still see them?");
}

#[test]
fn every_command_line_in_hints_and_help_is_one_that_the_program_understands() {
    let mut wrong = Vec::new();
    for path in files("src", ".rs") {
        let text = read(&path).replace("\\\n", "").replace("///", "");
        for span in text.split('`').filter(|span| span.starts_with("wg-friend ") && span.len() < 120) {
            // Where a value goes that is only known later, any word will do; but not in the place of a command.
            let Some(words) = shlex::split(span) else { continue };
            if words.iter().take(3).any(|word| word.contains('{')) {
                continue;
            }
            let words: Vec<String> = words.into_iter().filter(|word| !word.contains(['[', '{'])).collect();
            if let Err(why) = understood(&words, true) {
                wrong.push(format!("{}: {why}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Returns how a heading is named in links, as forges do it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).filter(|(language, line)| language.is_none() && line.starts_with('#'));
    headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        for (_, line) in lines(&text).filter(|(language, _)| language.is_none()) {
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().unwrap_or_default();
                if target.contains("://") {
                    continue;
                }
                seen += 1;
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let page = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
                if !root().join(&page).exists() {
                    wrong.push(format!("{}: there is no {}", path.display(), page.display()));
                } else if !heading.is_empty() && !anchors(&read(&page)).contains(heading) {
                    wrong.push(format!("{}: {} has no heading #{heading}", path.display(), page.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 40, "only {seen} links were found: does this test still see them?");
}

#[test]
fn every_file_of_the_project_that_a_page_names_is_there() {
    let roots = ["src/", "templates/", "tests/", "crates/", "docs/", "benches/", "scripts/", ".ci/"];
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        for span in code_spans(&text) {
            let named = roots.iter().any(|root| span.starts_with(root)) && !span.contains(['*', ' ', '…']);
            if named && !root().join(&span).exists() {
                wrong.push(format!("{}: there is no {span}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Returns the program's own environment variables that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect::<String>();
    let found = text.match_indices("WG_FRIEND_").map(|(at, _)| name(&text[at..]));
    found.filter(|name| name != "WG_FRIEND_").collect()
}

#[test]
fn pages_and_program_know_the_same_environment_variables() {
    let of_program: BTreeSet<String> = files("src", ".rs").iter().flat_map(|path| variables(&read(path))).collect();
    let of_pages: BTreeSet<String> = pages().iter().flat_map(|(_, text)| variables(text)).collect();
    assert_eq!(of_pages, of_program);
    assert_eq!(variables(&read("docs/reference/environment.md")), of_program);
}

/// Returns the texts of the errors in a source file, as written: with `{...}` where values go.
fn messages(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in source.split("#[error(").skip(1) {
        let Some(rest) = rest.trim_start().strip_prefix('"') else { continue }; // transparent: told elsewhere
        let mut text = String::new();
        let mut escaped = false;
        for c in rest.chars() {
            match c {
                '"' if !escaped => break,
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ => text.push(c),
            }
            escaped = false;
        }
        found.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

#[test]
fn every_error_that_a_user_can_meet_stands_in_the_troubleshooting_page() {
    let page = read("docs/guide/troubleshooting.md").replace('`', "");
    let mut missing = Vec::new();
    let mut seen = 0;
    for path in ERRORS {
        for message in messages(&read(path)) {
            seen += 1;
            let plain = message.replace('`', "");
            // The words between the values, up to where a message goes into details.
            let fixed: Vec<&str> = plain
                .split(['{', '}'])
                .step_by(2)
                .filter_map(|part| part.split(": ").next())
                .map(|part| part.trim().trim_end_matches([':', ',']))
                .filter(|part| part.len() >= 10)
                .collect();
            if !fixed.is_empty() && !fixed.iter().any(|part| page.contains(part)) {
                missing.push(format!("{path}: {message}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(seen > 70, "only {seen} messages were found: does this test still see them?");
}

/// Returns every command that does something, by its words: `add server`, `plan`.
fn commands() -> Vec<String> {
    fn collect(command: &clap::Command, words: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let words = format!("{words} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() {
                collect(sub, &words, found);
            } else {
                found.push(words);
            }
        }
    }
    let mut found = Vec::new();
    collect(&wg_friend::cli::definition(), "", &mut found);
    found
}

#[test]
fn the_json_of_every_command_is_described() {
    let page = read("docs/reference/json.md");
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
    let described = |command: &str| headings.iter().any(|heading| heading.contains(&format!("`{command}`")));
    let missing: Vec<String> = commands().into_iter().filter(|command| !described(command)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// Writes the help of a command and of those below it, each under a heading. What every command takes is left out.
fn reference_of(command: &clap::Command, depth: usize, page: &mut String) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let shown = sub.clone().mut_args(|argument| {
            let everywhere = argument.is_global_set() || argument.get_id() == "help";
            argument.hide(everywhere)
        });
        let name = sub.get_bin_name().unwrap_or(sub.get_name());
        let _ = write!(page, "\n{} {name}\n\n```text\n", "#".repeat(depth));
        for line in shown.clone().render_long_help().to_string().trim_end().lines() {
            let _ = writeln!(page, "{}", line.trim_end());
        }
        page.push_str("```\n");
        reference_of(sub, depth + 1, page);
    }
}

fn reference() -> String {
    let mut definition = wg_friend::cli::definition().term_width(100);
    definition.build();
    let mut page = String::from(
        "# Commands\n\n\
         What `--help` says of every command. Made from the program by `UPDATE_DOCS=1 ./test docs`; a test fails \
         when the two differ.\nThe options at the end of the first block are taken by every command and not repeated below.\n\n\
         ```text\n",
    );
    for line in definition.render_long_help().to_string().trim_end().lines() {
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page.push_str("```\n");
    reference_of(&definition, 2, &mut page);
    page
}

#[test]
fn the_reference_is_what_the_program_says_of_itself() {
    let path = "docs/reference/cli.md";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(path), reference()).unwrap();
    }
    assert!(read(path) == reference(), "{path} is out of date: run `UPDATE_DOCS=1 ./test docs`");
}

mod about_these_tests {
    use super::*;

    #[test]
    fn invocations_are_found_in_lines_of_shell() {
        let found = invocations("WG_FRIEND_DB=x wg-friend generate alice | ssh root@a 'cat' && wg-friend lock # done");
        assert_eq!(found, [vec!["wg-friend", "generate", "alice"], vec!["wg-friend", "lock"]]);
        assert_eq!(invocations("./lab up office"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_command_or_option_that_does_not_exist_is_found() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(understood(&words("wg-friend deploy --yes"), false).is_ok());
        assert!(understood(&words("wg-friend deploi"), true).is_err());
        assert!(understood(&words("wg-friend deploy --sure"), true).is_err());
        assert!(understood(&words("wg-friend rename"), false).is_err());
        assert!(understood(&words("wg-friend rename"), true).is_ok());
    }

    #[test]
    fn messages_are_read_over_several_lines() {
        let source = "#[error(transparent)]\n#[error(\n \"`{a}` is \\\n   \\\"bad\\\"\"\n)] X, #[error(\"{0}\")]";
        assert_eq!(messages(source), ["`{a}` is \"bad\"", "{0}"]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(anchor(" LANs that don't know the way back"), "lans-that-dont-know-the-way-back");
    }
}
