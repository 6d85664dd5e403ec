//! Machines that are reached over SSH, or the one wg-friend runs on.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{Name, Port};

words! {
    /// How the commands on a host become root.
    Become, "way to become root" {
        /// Root if that is who logs in, else `sudo -n`.
        Auto = "auto",
        /// The login is root.
        Root = "root",
        /// `sudo -n`.
        Sudo = "sudo",
    }
}

words! {
    /// When changes of the model are taken to a host without somebody saying `deploy`.
    AutoSync, "way to sync" {
        /// Never.
        Manual = "manual",
        /// After each change.
        OnChange = "on_change",
        /// By a job, now and then.
        Scheduled = "scheduled",
    }
}

impl Default for AutoSync {
    /// Nothing changes on a host that nobody asked for.
    fn default() -> Self {
        Self::Manual
    }
}

/// Leave to write hooks on a host that aren't on the list of what hooks may do: somebody answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowUnsafe {
    /// What it is needed for.
    pub reason: String,
    /// Who gave it.
    pub operator: String,
    /// When, to the microsecond.
    pub time: DateTime<Utc>,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "transport")]
pub enum HostAddress {
    /// The machine wg-friend runs on.
    Local,
    /// Over SSH; whatever isn't given here comes from the user's ssh_config.
    Ssh {
        /// Host name, address, or an alias of ssh_config. Never begins with `-`.
        destination: String,
        /// Login name.
        user: Option<String>,
        /// TCP port.
        port: Option<Port>,
        /// Jump hosts as `ssh -J` takes them.
        jump: Option<String>,
        /// Private key file.
        identity: Option<String>,
    },
}

/// A machine on which nodes live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the operator calls it.
    pub name: Name,
    /// Where it is.
    #[serde(flatten)]
    pub address: HostAddress,
    /// How to become root there.
    #[serde(rename = "become")]
    pub becoming: Become,
    /// Whether hooks may be written there that aren't on the list; `None`: they are refused.
    #[serde(default)]
    pub allow_unsafe: Option<AllowUnsafe>,
    /// When changes are taken there.
    #[serde(default)]
    pub auto_sync: AutoSync,
}

impl Host {
    /// A machine with nothing set on it but where it is.
    pub fn new(name: Name, address: HostAddress, becoming: Become) -> Self {
        Self { name, address, becoming, allow_unsafe: None, auto_sync: AutoSync::default() }
    }
}

/// Not a place that ssh(1) could be told to go to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SSH destination: expected [user@]host[:port], an alias of ssh_config, or `local`")]
pub struct InvalidDestination(pub String);

impl FromStr for HostAddress {
    type Err = InvalidDestination;

    /// Reads `[user@]host[:port]`, an IPv6 address with a port in brackets, or `local`.
    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let wrong = || InvalidDestination(text.to_owned());
        if text == "local" {
            return Ok(Self::Local);
        }
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let in_brackets = rest.starts_with('[');
        let (destination, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None if rest.matches(':').count() > 1 => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse::<Port>).transpose().map_err(|_| wrong())?;
        let plain = |word: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%' | b'+');
            !word.is_empty() && !word.starts_with('-') && word.bytes().all(fits)
        };
        let address = destination.split_once('%').map_or(destination, |(address, _zone)| address);
        let is_address = address.parse::<Ipv6Addr>().is_ok();
        let needs_address = in_brackets || destination.contains(':');
        if !plain(destination) || !user.is_none_or(plain) || (needs_address && !is_address) {
            return Err(wrong());
        }
        let (destination, user) = (destination.to_owned(), user.map(str::to_owned));
        Ok(Self::Ssh { destination, user, port, jump: None, identity: None })
    }
}

impl HostAddress {
    /// Returns the command line by which a person gets there, such as `ssh -p 2222 -J hub root@10.66.0.22`; `None` for the
    /// machine itself.
    pub fn ssh_line(&self) -> Option<String> {
        let Self::Ssh { destination, user, port, jump, identity } = self else { return None };
        let mut line = "ssh".to_owned();
        let port = port.map(|port| port.to_string());
        for (option, value) in [("-p", &port), ("-J", jump), ("-i", identity)] {
            if let Some(value) = value {
                line.push_str(&format!(" {option} {value}"));
            }
        }
        let user = user.as_ref().map_or(String::new(), |user| format!("{user}@"));
        Some(format!("{line} {user}{destination}"))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.pad("local"),
            Self::Ssh { destination, user, port, .. } => {
                let user = user.as_ref().map_or(String::new(), |u| format!("{u}@"));
                let text = match port {
                    Some(port) if destination.contains(':') => format!("{user}[{destination}]:{port}"),
                    Some(port) => format!("{user}{destination}:{port}"),
                    None => format!("{user}{destination}"),
                };
                f.pad(&text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_gets_there_is_one_that_ssh_takes() {
        let mut address: HostAddress = "me@[2001:db8::1]:2222".parse().unwrap();
        assert_eq!(address.ssh_line().unwrap(), "ssh -p 2222 me@2001:db8::1");
        if let HostAddress::Ssh { jump, identity, .. } = &mut address {
            *jump = Some("root@hub".to_owned());
            *identity = Some("~/.ssh/office".to_owned());
        }
        assert_eq!(address.ssh_line().unwrap(), "ssh -p 2222 -J root@hub -i ~/.ssh/office me@2001:db8::1");
    }

    #[test]
    fn destinations_read_back_as_they_print() {
        for text in ["local", "hub", "root@203.0.113.7", "me@vpn.example.com:2222", "a@[2001:db8::1]:22", "2001:db8::1"]
        {
            assert_eq!(text.parse::<HostAddress>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "a@-x",
            "root@",
            "@host",
            "h:0",
            "h:ssh",
            "a b",
            "h;reboot",
            "$(x)",
            "a@[2001:]",
            "[local]",
            "1:2:3",
        ] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad:?}");
        }
    }
}
