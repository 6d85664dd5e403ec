//! Drift: what of a host nobody deployed, in words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};

words! {
    /// What somebody changed on a host.
    DriftKind, "kind of drift" {
        /// A peer that nobody planned.
        PeerAdded = "peer_added",
        /// A peer was taken away.
        PeerRemoved = "peer_removed",
        /// A peer has another key: another one has its AllowedIPs, and it is gone.
        PeerModified = "peer_modified",
        /// A peer's AllowedIPs.
        AllowedIpsChanged = "allowed_ips_changed",
        /// Where a peer is dialled, and it doesn't answer there. That a living peer roams is no drift.
        EndpointChanged = "endpoint_changed",
        /// A peer's keepalive.
        KeepaliveChanged = "keepalive_changed",
        /// A peer's preshared key.
        PskChanged = "psk_changed",
        /// The interface's own key.
        ServerKeyChanged = "server_key_changed",
        /// The file with the key that the host made and keeps holds another one, or others may read it.
        KeyFileChanged = "key_file_changed",
        /// That file is gone.
        KeyFileRemoved = "key_file_removed",
        /// The interface doesn't run.
        InterfaceRemoved = "interface_removed",
        /// An interface runs that should not.
        InterfaceAdded = "interface_added",
        /// The link is down.
        LinkDown = "link_down",
        /// The mark by which wg-quick(8) routes everything through a tunnel.
        DefaultRouteChanged = "default_route_changed",
        /// The interface's port.
        PortChanged = "port_changed",
        /// Its MTU.
        MtuChanged = "mtu_changed",
        /// One of its addresses is gone.
        AddressRemoved = "address_removed",
        /// It has an address more.
        AddressAdded = "address_added",
        /// A route through it is gone.
        RouteRemoved = "route_removed",
        /// There is a route more.
        RouteAdded = "route_added",
        /// A policy rule is gone.
        RuleRemoved = "rule_removed",
        /// There is a policy rule more.
        RuleAdded = "rule_added",
        /// A kernel setting, such as forwarding.
        SysctlChanged = "sysctl_changed",
        /// The nftables table has other rules.
        FirewallChanged = "firewall_changed",
        /// The nftables table is gone.
        FirewallRemoved = "firewall_removed",
        /// A file has another text, or other permissions.
        FileChanged = "file_changed",
        /// A file is gone.
        FileRemoved = "file_removed",
        /// There is a file more.
        FileAdded = "file_added",
        /// The hooks in a file: commands that root runs when the interface goes up or down.
        HooksChanged = "hooks_changed",
        /// The loop that follows the names by which peers are dialled doesn't run.
        ResolverStopped = "resolver_stopped",
        /// Another one runs.
        ResolverChanged = "resolver_changed",
        /// The loop that moves the traffic of links which are down doesn't run.
        FallbackStopped = "fallback_stopped",
        /// Another one runs.
        FallbackChanged = "fallback_changed",
        /// The loop that follows peers to their next keys doesn't run.
        HandoverStopped = "handover_stopped",
        /// Another one runs.
        HandoverChanged = "handover_changed",
        /// Whether the interface starts at boot.
        BootChanged = "boot_changed",
    }
}

words! {
    /// How a look for drift ended on one host.
    ScanOutcome, "outcome of a scan" {
        /// Nothing drifted but what was acknowledged.
        Clean = "clean",
        /// Something did.
        Drift = "drift",
        /// The host gave no answer that can be used: nobody knows.
        Unknown = "unknown",
    }
}
