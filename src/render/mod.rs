//! Fills the texts of `templates/`, which are compiled in. No template decides anything: it loops, and leaves out what
//! isn't there.

pub mod guide;
pub mod qr;
pub mod report;
pub mod timer;

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// The texts, by their paths under `templates/`.
const TEMPLATES: [(&str, &str); 17] = [
    ("firewall/table.nft", include_str!("../../templates/firewall/table.nft")),
    ("firewall/server.nft", include_str!("../../templates/firewall/server.nft")),
    ("firewall/levels.nft", include_str!("../../templates/firewall/levels.nft")),
    ("firewall/router.nft", include_str!("../../templates/firewall/router.nft")),
    ("firewall/exit.nft", include_str!("../../templates/firewall/exit.nft")),
    ("guide/head.md", include_str!("../../templates/guide/head.md")),
    ("guide/windows.md", include_str!("../../templates/guide/windows.md")),
    ("guide/macos.md", include_str!("../../templates/guide/macos.md")),
    ("guide/linux.md", include_str!("../../templates/guide/linux.md")),
    ("guide/android.md", include_str!("../../templates/guide/android.md")),
    ("guide/ios.md", include_str!("../../templates/guide/ios.md")),
    ("guide/tail.md", include_str!("../../templates/guide/tail.md")),
    ("guide/page.html", include_str!("../../templates/guide/page.html")),
    ("report/page.html", include_str!("../../templates/report/page.html")),
    ("timer/job.service", include_str!("../../templates/timer/job.service")),
    ("timer/job.timer", include_str!("../../templates/timer/job.timer")),
    ("timer/page.txt", include_str!("../../templates/timer/page.txt")),
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A line that holds only a block leaves nothing behind, so templates look like what they make.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).expect("a test parses every template");
    }
    environment
});

/// Fills the template with this path under `templates/`.
///
/// # Panics
///
/// If there is no such template, or it uses a value that `values` lacks: both are mistakes of the caller that any test
/// of it shows.
pub fn fill(template: &str, values: impl Serialize) -> String {
    let template = ENVIRONMENT.get_template(template).expect("the template is one of TEMPLATES");
    template.render(Serde(values)).expect("the template uses only values that it is given")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_template_parses_and_none_is_forgotten() {
        let known: Vec<&str> = super::ENVIRONMENT.templates().map(|(name, _)| name).collect();
        assert_eq!(known.len(), super::TEMPLATES.len());
        for folder in ["firewall", "guide", "report", "timer"] {
            let path = format!("{}/templates/{folder}", env!("CARGO_MANIFEST_DIR"));
            for entry in std::fs::read_dir(path).unwrap() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
                assert!(known.contains(&name.as_str()), "{name} is in no list");
            }
        }
    }
}
