//! The operator's own SSH keys: found, made and shown with OpenSSH's own programs. Private keys are never read here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// A public key as authorized_keys(5) has it: type, key and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// `ssh-ed25519` and the like.
    pub kind: String,
    /// The key, in base64.
    pub key: String,
    /// What it is called; mostly who and where.
    pub name: String,
}

impl std::fmt::Display for SshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.kind, self.key, self.name)
    }
}

/// Reads a line of a `.pub` file.
///
/// # Errors
/// Says what it isn't, without repeating it: it may be a private key.
pub fn read_public(text: &str) -> Result<SshKey, &'static str> {
    if text.contains("PRIVATE KEY") {
        return Err("it is a private key; the public one is in the file that ends in .pub");
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err("it isn't one line with one public key") };
    let mut words = line.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else { return Err("it is no SSH public key") };
    let known = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];
    let hardware = ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
    let plain = key.len() > 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if !(known.contains(&kind) || hardware.contains(&kind)) || !plain {
        return Err("it is no SSH public key");
    }
    // The name goes into files and onto terminals of others.
    let name: String = words.collect::<Vec<_>>().join("-").chars().filter(|c| c.is_ascii_graphic()).collect();
    let name = if name.is_empty() { "wg-friend".to_owned() } else { name };
    Ok(SshKey { kind: kind.to_owned(), key: key.to_owned(), name })
}

/// The public half of a key file: the same name with `.pub`, unless it ends in that already.
pub fn public_path(file: &Path) -> PathBuf {
    if file.extension().is_some_and(|extension| extension == "pub") {
        return file.to_owned();
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn keygen(arguments: &[&std::ffi::OsStr], quiet: bool) -> Result<std::process::Output, Error> {
    let mut command = Command::new("ssh-keygen");
    command.args(arguments);
    let failed = |e: std::io::Error| Error::Ssh(format!("`ssh-keygen`: {e}"));
    if quiet {
        return command.stdin(Stdio::null()).output().map_err(failed);
    }
    // It asks for a passphrase on the terminal by itself.
    let status = command.stdin(Stdio::inherit()).stdout(Stdio::null()).status().map_err(failed)?;
    Ok(std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() })
}

/// Makes an Ed25519 key. With `ask`, ssh-keygen asks for a passphrase on the terminal; else it has none.
///
/// # Errors
/// When ssh-keygen isn't there or the file can't be written.
pub fn make(file: &Path, name: &str, ask: bool) -> Result<(), Error> {
    let mut arguments: Vec<&std::ffi::OsStr> =
        ["-q", "-t", "ed25519", "-C", name, "-f"].into_iter().map(std::ffi::OsStr::new).collect();
    arguments.push(file.as_os_str());
    if !ask {
        arguments.extend(["-N", ""].map(std::ffi::OsStr::new));
    }
    let output = keygen(&arguments, !ask)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("ssh-keygen failed").to_owned();
    Err(Error::Ssh(format!("no key could be made at {}: {last}", file.display())))
}

/// Returns a key's fingerprint as ssh shows it: `SHA256:...`.
///
/// # Errors
/// When ssh-keygen isn't there or can't read the file.
pub fn fingerprint(public: &Path) -> Result<String, Error> {
    let arguments = [std::ffi::OsStr::new("-lf"), public.as_os_str()];
    let output = keygen(&arguments, true)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let word = text.split_whitespace().nth(1).map(str::to_owned);
    word.filter(|_| output.status.success())
        .ok_or_else(|| Error::Ssh(format!("{}: {}", public.display(), String::from_utf8_lossy(&output.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIKb0bXBnbGVrZXlleGFtcGxla2V5ZXhhbXBsZWtleTEy";

    #[test]
    fn a_public_key_is_read_and_its_name_is_one_word() {
        let key = read_public(&format!("ssh-ed25519 {KEY} Alice on \u{1b}[1mlaptop\n")).unwrap();
        assert_eq!(key.to_string(), format!("ssh-ed25519 {KEY} Alice-on-[1mlaptop"));
        assert_eq!(read_public(&format!("ssh-ed25519 {KEY}")).unwrap().name, "wg-friend");
    }

    #[test]
    fn what_is_no_public_key_is_refused_and_a_private_one_is_not_repeated() {
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(read_public(private).unwrap_err().contains(".pub"));
        for text in ["", "ssh-ed25519", "ssh-dss AAAA me", "ssh-ed25519 $(id) me", "command=\"x\" ssh-ed25519 AAAA me"]
        {
            assert!(read_public(text).is_err(), "{text}");
        }
        assert!(read_public(&format!("ssh-ed25519 {KEY} a\nssh-ed25519 {KEY} b\n")).is_err());
    }

    #[test]
    fn a_key_that_was_made_is_read_and_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id");
        if make(&file, "alice@wg-friend", false).is_err() {
            return; // a machine without ssh-keygen
        }
        let key = read_public(&std::fs::read_to_string(public_path(&file)).unwrap()).unwrap();
        assert_eq!((key.kind.as_str(), key.name.as_str()), ("ssh-ed25519", "alice@wg-friend"));
        assert!(fingerprint(&public_path(&file)).unwrap().starts_with("SHA256:"));
    }
}
