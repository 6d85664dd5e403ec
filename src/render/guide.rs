//! Guides for the owners of devices: one text, as Markdown and as a page that needs nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::fill;

/// A device's system, as its owner calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// A Linux desktop or server.
    Linux,
    /// Android.
    Android,
    /// iOS and iPadOS.
    Ios,
}

impl Platform {
    /// Every platform, in the order of the guide.
    pub const ALL: &'static [Self] = &[Self::Windows, Self::MacOs, Self::Linux, Self::Android, Self::Ios];

    /// Returns the word for `--guide`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::MacOs => "macos",
            Self::Linux => "linux",
            Self::Android => "android",
            Self::Ios => "ios",
        }
    }

    /// Whether it has a camera to scan a code with.
    pub fn scans(self) -> bool {
        matches!(self, Self::Android | Self::Ios)
    }

    fn template(self) -> &'static str {
        match self {
            Self::Windows => "guide/windows.md",
            Self::MacOs => "guide/macos.md",
            Self::Linux => "guide/linux.md",
            Self::Android => "guide/android.md",
            Self::Ios => "guide/ios.md",
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        Self::ALL.iter().copied().find(|platform| platform.as_str() == word).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|platform| platform.as_str()).collect();
            format!("there is no guide for `{text}`: expected one of {}", words.join(", "))
        })
    }
}

/// What a guide speaks of.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The device.
    pub node: String,
    /// The network.
    pub network: String,
    /// The config's file.
    pub file: String,
    /// What apps call the tunnel: the file's name without its ending.
    pub tunnel: String,
    /// The same in at most 15 characters.
    pub short: String,
    /// What the interface is called on Linux.
    pub interface: String,
    /// Whether everything goes through the tunnel.
    pub everything: bool,
    /// Where the tunnel leads.
    pub endpoint: Option<String>,
    /// An address inside that answers.
    pub probe: Option<String>,
    /// Whether there is a code to scan.
    pub qr: bool,
}

/// A guide in both forms. Both hold the config.
pub struct Guide {
    /// As Markdown.
    pub markdown: Zeroizing<String>,
    /// As one page of HTML.
    pub html: Zeroizing<String>,
}

/// Writes the guide for a device: steps for each platform, the config, and the code as SVG where there is one.
pub fn guide(facts: &Facts, platforms: &[Platform], config: &str, code: Option<&str>) -> Guide {
    let mut text = fill("guide/head.md", facts);
    for platform in platforms {
        text.push('\n');
        // A code is of use only to what can scan it.
        text.push_str(&fill(platform.template(), Facts { qr: facts.qr && platform.scans(), ..facts.clone() }));
    }
    text.push('\n');
    text.push_str(&fill("guide/tail.md", facts));

    #[derive(Serialize)]
    struct Page<'a> {
        node: &'a str,
        network: &'a str,
        file: &'a str,
        body: &'a str,
        qr: Option<&'a str>,
        base64: &'a str,
        config: &'a str,
    }
    let body = html(&text);
    // The declaration of an XML document has no place within a page.
    let svg = code.map(|svg| svg.find("<svg").map_or(svg, |at| &svg[at..]));
    let base64 = Zeroizing::new(STANDARD.encode(config));
    let (node, network, file) = (&facts.node, &facts.network, &facts.file);
    let page = Page { node, network, file, body: &body, qr: svg, base64: &base64, config };
    let html = Zeroizing::new(fill("guide/page.html", &page));

    let picture = code.map(|svg| Zeroizing::new(STANDARD.encode(svg)));
    let room = text.len() + config.len() + picture.as_ref().map_or(0, |code| code.len()) + 512;
    let mut markdown = Zeroizing::new(String::with_capacity(room));
    markdown.push_str(&text);
    if let Some(picture) = &picture {
        markdown.push_str("\n## The code\n\n![The code to scan](data:image/svg+xml;base64,");
        markdown.push_str(picture);
        markdown.push_str(")\n");
    }
    markdown.push_str("\n## The file ");
    markdown.push_str(file);
    markdown.push_str("\n\n```ini\n");
    markdown.push_str(config);
    markdown.push_str("```\n");
    Guide { markdown, html }
}

/// Turns the Markdown of the guides into HTML: headings, paragraphs, lists, `code`, *emphasis* and **strong**. Everything
/// else is text.
fn html(markdown: &str) -> String {
    let mut page = String::new();
    let mut list: Option<&str> = None;
    let numbered = |line: &str| {
        line.split_once(". ")
            .filter(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            .map(|(_, rest)| rest.to_owned())
    };
    for line in markdown.lines() {
        let (kind, item) = match (line.strip_prefix("- "), numbered(line)) {
            (Some(item), _) => (Some("ul"), item.to_owned()),
            (None, Some(item)) => (Some("ol"), item),
            (None, None) => (None, String::new()),
        };
        if list != kind && !line.is_empty() {
            if let Some(open) = list.take() {
                page.push_str(&format!("</{open}>\n"));
            }
            if let Some(kind) = kind {
                page.push_str(&format!("<{kind}>\n"));
            }
            list = kind;
        }
        match (kind, line.strip_prefix("## "), line.strip_prefix("# ")) {
            (Some(_), ..) => page.push_str(&format!("<li>{}</li>\n", inline(&item))),
            (None, Some(title), _) => page.push_str(&format!("<h2>{}</h2>\n", inline(title))),
            (None, None, Some(title)) => page.push_str(&format!("<h1>{}</h1>\n", inline(title))),
            _ if line.trim().is_empty() => {}
            _ => page.push_str(&format!("<p>{}</p>\n", inline(line))),
        }
    }
    if let Some(open) = list {
        page.push_str(&format!("</{open}>\n"));
    }
    page
}

/// Marks up one line. What stands in backticks is left as it is.
fn inline(text: &str) -> String {
    let mut marked = String::new();
    for (at, part) in text.split('`').enumerate() {
        let escaped = part.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        if at % 2 == 1 {
            marked.push_str(&format!("<code>{escaped}</code>"));
        } else {
            let strong = alternate(&escaped, "**", "strong");
            marked.push_str(&alternate(&strong, "*", "em"));
        }
    }
    marked
}

/// Replaces every first and second sign by the opening and closing of a tag.
fn alternate(text: &str, sign: &str, tag: &str) -> String {
    let mut parts = text.split(sign);
    let mut marked = parts.next().unwrap_or_default().to_owned();
    for (part, at) in parts.zip(0..) {
        let slash = if at % 2 == 0 { "" } else { "/" };
        marked.push_str(&format!("<{slash}{tag}>{part}"));
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(qr: bool) -> Facts {
        Facts {
            node: "alice-phone".into(),
            network: "office".into(),
            file: "alice-phone.conf".into(),
            tunnel: "alice-phone".into(),
            short: "alice-phone".into(),
            interface: "wg0".into(),
            everything: false,
            endpoint: Some("vpn.example.com:51820".into()),
            probe: Some("10.66.0.1".into()),
            qr,
        }
    }

    #[test]
    fn the_markup_of_the_guides_becomes_html_and_nothing_else_does() {
        insta::assert_snapshot!(html("# A <b>\n\n1. **Go** to *there* & `a < b`\n2. then\n\nText.\n- one\n"), @"
        <h1>A &lt;b&gt;</h1>
        <ol>
        <li><strong>Go</strong> to <em>there</em> &amp; <code>a &lt; b</code></li>
        <li>then</li>
        </ol>
        <p>Text.</p>
        <ul>
        <li>one</li>
        </ul>
        ");
    }

    #[test]
    fn every_guide_has_steps_and_the_config_and_needs_nothing_else() {
        let config = "[Interface]\nPrivateKey = <&>\n";
        for platform in Platform::ALL {
            let made =
                guide(&facts(platform.scans()), &[*platform], config, platform.scans().then_some("<?xml?><svg></svg>"));
            assert!(made.markdown.contains("\n1. ") && made.markdown.contains(config), "{}", *made.markdown);
            assert!(made.html.contains("PrivateKey = &lt;&amp;&gt;") && made.html.contains("<ol>"), "{}", *made.html);
            assert_eq!(made.html.contains("<svg></svg>"), platform.scans());
            for outside in ["<script", "<link", "<img", "src=", "@import", "url("] {
                assert!(!made.html.contains(outside), "{outside}");
            }
            // Nothing of a template is left over, and no sign of Markdown.
            assert!(!made.html.contains("**") && !made.html.contains("{{") && !made.html.contains("{%"));
            assert!(!made.markdown.contains("\n\n\n"), "{}", *made.markdown);
        }
    }
}
