//! Collects what a system can't express while a writer goes through a tunnel.

use super::feature::describe;
use super::{Feature, Format, Inexpressible, LeftOut, Subject};
use crate::model::Table;
use crate::wg::Tunnel;

/// What a writer found out about its tunnel.
pub(super) struct Check<'a> {
    format: Format,
    subject: &'a Subject,
    left_out: Vec<LeftOut>,
    missing: Vec<Inexpressible>,
}

impl<'a> Check<'a> {
    pub(super) fn new(format: Format, subject: &'a Subject, left_out: Vec<LeftOut>) -> Self {
        Self { format, subject, left_out, missing: Vec::new() }
    }

    /// There is no word for this. It is missing in what is written, or an error.
    pub(super) fn lacks(&mut self, feature: Feature, what: impl Into<String>, instead: &str) {
        let what = what.into();
        if self.subject.without.contains(&feature) {
            self.left_out.push(LeftOut { feature, what });
            return;
        }
        let instead = instead.to_owned();
        self.missing.push(Inexpressible { format: self.format, feature: Some(feature), what, instead });
    }

    /// There is no word for this, and no doing without it.
    pub(super) fn refuses(&mut self, what: impl Into<String>, instead: &str) {
        let (what, instead) = (what.into(), instead.to_owned());
        self.missing.push(Inexpressible { format: self.format, feature: None, what, instead });
    }

    pub(super) fn no_hooks(&mut self, tunnel: &Tunnel, instead: &str) {
        if !tunnel.hooks.is_empty() {
            self.lacks(Feature::Hooks, describe::hooks(&tunnel.hooks), instead);
        }
    }

    pub(super) fn no_table(&mut self, tunnel: &Tunnel, known: impl Fn(&Table) -> bool, instead: &str) {
        if tunnel.table != Table::Auto && !known(&tunnel.table) {
            self.lacks(Feature::Table, describe::table(&tunnel.table), instead);
        }
    }

    pub(super) fn no_fwmark(&mut self, tunnel: &Tunnel, instead: &str) {
        if let Some(mark) = tunnel.fwmark.filter(|mark| *mark != 0) {
            self.lacks(Feature::FwMark, describe::fwmark(mark), instead);
        }
    }

    pub(super) fn no_save_config(&mut self, tunnel: &Tunnel) {
        if tunnel.save_config {
            let instead = "only wg-quick overwrites its own file, and what it overwrites is lost";
            self.lacks(Feature::SaveConfig, "SaveConfig", instead);
        }
    }

    pub(super) fn no_dns(&mut self, tunnel: &Tunnel, instead: &str) {
        if !tunnel.dns.is_empty() {
            self.lacks(Feature::Dns, format!("DNS {}", tunnel.dns.join(", ")), instead);
        }
    }

    pub(super) fn no_search_domains(&mut self, tunnel: &Tunnel, instead: &str) {
        let domains: Vec<&str> =
            tunnel.dns.iter().map(String::as_str).filter(|entry| !describe::is_address(entry)).collect();
        if !domains.is_empty() {
            self.lacks(Feature::SearchDomains, format!("the search domains {}", domains.join(", ")), instead);
        }
    }

    /// Of vendors' keys only the `known` ones have a word.
    pub(super) fn no_vendor_keys(&mut self, tunnel: &Tunnel, known: &[&str]) {
        let mut names = describe::vendor_keys(tunnel);
        names.retain(|name| !known.iter().any(|word| word.eq_ignore_ascii_case(name)));
        if !names.is_empty() {
            let instead = "they are another program's; `wg-friend generate` keeps them in the file that it came from";
            self.lacks(Feature::VendorKeys, format!("the vendor's keys {}", names.join(", ")), instead);
        }
    }

    /// Without its private key the tunnel can't be set up there.
    pub(super) fn needs_private_key(&mut self, tunnel: &Tunnel) {
        if tunnel.private_key.is_none() {
            let instead = "it isn't kept here; its owner can put it in where the file says so";
            self.lacks(Feature::PrivateKey, "a tunnel without its private key", instead);
        }
    }

    /// A route to everything would catch the tunnel's own packets, and nothing here keeps them out.
    pub(super) fn no_default_route(&mut self, tunnel: &Tunnel, instead: &str) {
        let default = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips).find(|to| to.is_default());
        if let (Table::Auto, Some(to)) = (&tunnel.table, default) {
            self.lacks(
                Feature::DefaultRoute,
                format!("a route to {to} beside which the tunnel's own packets find out"),
                instead,
            );
        }
    }

    pub(super) fn finish(self) -> Result<Vec<LeftOut>, Vec<Inexpressible>> {
        if self.missing.is_empty() { Ok(self.left_out) } else { Err(self.missing) }
    }
}
