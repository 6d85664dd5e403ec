//! The official app on iOS and macOS: wg-quick's language, linted. One key that it doesn't know, and it refuses the file.

use crate::wg::Tunnel;

use super::check::Check;
use super::wg_quick::{Dialect, app_file, lines};
use super::{OutFile, Subject};

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "nothing runs commands there");
    check.no_table(tunnel, |_| false, "routes follow from AllowedIPs: give each peer what is to be routed");
    check.no_fwmark(tunnel, "the app keeps its own packets out of the tunnel");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    let name = &subject.name;
    if name.trim() != name || name.is_empty() || name.contains('/') {
        check.refuses(
            format!("the name `{name}`"),
            "the name is that of the file, without blanks around: give another with `--name`",
        );
    }
    let text = lines(subject, tunnel, &Dialect { hooks: false, comments: true, halve_default: false });
    let notes = vec![
        "in the app: +, Create from file or archive; on-demand rules for Wi-Fi or cellular aren't in the file: set them there, or by a configuration profile".to_owned(),
    ];
    (vec![app_file(subject, text)], notes)
}
