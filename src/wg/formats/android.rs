//! The official app on Android: wg-quick's language, linted.

use crate::model::InterfaceName;
use crate::wg::Tunnel;

use super::check::Check;
use super::wg_quick::{Dialect, app_file, lines};
use super::{OutFile, Subject};

/// What the app takes besides: which apps use the tunnel.
const APPLICATIONS: &[&str] = &["IncludedApplications", "ExcludedApplications"];

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "nothing runs commands there");
    check.no_table(tunnel, |_| false, "routes follow from AllowedIPs: give each peer what is to be routed");
    check.no_fwmark(tunnel, "the app keeps its own packets out of the tunnel");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, APPLICATIONS);
    check.needs_private_key(tunnel);
    if subject.name.parse::<InterfaceName>().is_err() {
        check.refuses(
            format!("the name `{}`", subject.name),
            "a tunnel's name has at most 15 letters, digits and `_=+.-`: give another with `--name`, or scan a code and type a name",
        );
    }
    let text = lines(subject, tunnel, &Dialect { hooks: false, comments: true, halve_default: false });
    let notes = vec!["in the app: +, Import from file or archive".to_owned()];
    (vec![app_file(subject, text)], notes)
}
