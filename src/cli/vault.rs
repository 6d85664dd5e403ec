//! `vault`: the passphrase, the recovery key, and what they open.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::{Fields, Table, paint, style};
use super::{Context, Exit, init, prompt};
use crate::db::{Count, Database, KdfParams, Passphrase, Share, Slot, check_counts, repeated};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::safety::vault::{self, Encryption, Status};
use crate::settings::KdfProfile;

/// Look after the vault: status, passphrases, recovery key, rekeying, encrypting
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend vault status\n  wg-friend vault passphrase --new-passphrase-file /run/secrets/new\n  wg-friend vault passphrase add kim\n  wg-friend vault encrypt --remove-copies"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how the vault stands; needs no passphrase
    Status,
    /// Replace the passphrase that was given, or add and remove others
    Passphrase(Passphrases),
    /// Print a new recovery key, whole or in shares; the old one no longer unlocks
    ///
    /// In shares, the key itself is never shown: any so many shares as are needed are as good as it, fewer say nothing about
    /// it. Give each to somebody else, or keep each in another place.
    #[command(after_help = "Examples:\n  wg-friend vault recovery\n  wg-friend vault recovery --shares 5 --needed 3")]
    Recovery {
        /// Split it into so many shares, at most 16
        #[arg(long, value_name = "N", requires = "needed")]
        shares: Option<u8>,
        /// How many of them are needed, at least 2
        #[arg(long, value_name = "K", requires = "shares")]
        needed: Option<u8>,
    },
    /// Unlock with shares of the recovery key, and set a new passphrase
    ///
    /// Asks for one share after the other, or reads them from a file. Wherever else the passphrase is asked for, the shares can
    /// be given instead too, one behind the other.
    #[command(
        after_help = "Examples:\n  wg-friend vault recover\n  wg-friend vault recover --shares-file shares.txt --new-passphrase-file /run/secrets/new"
    )]
    Recover {
        /// Read the shares from a file, one a line
        #[arg(long, value_name = "FILE")]
        shares_file: Option<PathBuf>,
        /// Which passphrase to replace, if there are several
        #[arg(long)]
        name: Option<Name>,
        #[command(flatten)]
        new: NewPassphrase,
    },
    /// Seal everything anew under a new key, with a new recovery key
    ///
    /// All passphrases stay, and nobody else has to be there. It locks out who had a passphrase, or the key itself, and has
    /// kept what it opens: remove his passphrase first.
    Rekey,
    /// Encrypt a database that was made without encryption
    ///
    /// Takes a new passphrase, from where passphrases come from or typed twice, and prints a recovery key once. Everything
    /// secret is encrypted under a new key in one transaction, and the file is written anew, so that nothing of it is left
    /// in unused pages. What others have copied before stays readable to them: rotate the keys of your nodes as well. The key
    /// that signs the audit log stays what it was, so that heads which were kept elsewhere still fit: who has such a copy can
    /// sign heads, too.
    Encrypt {
        /// How costly trying a passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
        #[arg(long, value_name = "PROFILE")]
        kdf: Option<KdfProfile>,
        /// Remove the copies that upgrades left beside the file, which still hold it unencrypted
        #[arg(long)]
        remove_copies: bool,
    },
}

/// Replace the passphrase that was given, or add and remove others
///
/// Each person and each timer can have a passphrase of its own, of which the others know nothing. Costs the same whatever
/// the size of the database. If a passphrase may have become known, run `wg-friend vault rekey` too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend vault passphrase\n  wg-friend vault passphrase add kim\n  wg-friend vault passphrase add timer --kdf light --new-passphrase-file /run/secrets/timer\n  wg-friend vault passphrase remove kim"
)]
struct Passphrases {
    #[command(subcommand)]
    command: Option<PassphraseCommand>,
    #[command(flatten)]
    new: NewPassphrase,
}

#[derive(Debug, Subcommand)]
enum PassphraseCommand {
    /// Add one more passphrase that unlocks
    #[command(after_help = "Example:\n  wg-friend vault passphrase add kim --new-passphrase-file /run/secrets/kim")]
    Add {
        /// What to call it: whose it is, or what it is for
        name: Name,
        #[command(flatten)]
        new: NewPassphrase,
    },
    /// Replace the passphrase that was given, or the one that is named
    #[command(
        after_help = "Examples:\n  wg-friend vault passphrase change\n  wg-friend vault passphrase change kim --new-passphrase-file /run/secrets/kim"
    )]
    Change {
        /// Which one, if it isn't the one that unlocks now
        name: Option<Name>,
        #[command(flatten)]
        new: NewPassphrase,
    },
    /// Take a passphrase away, so that it no longer unlocks
    ///
    /// Who had it may have kept a copy of the file, which it opens for good, or of the key: `wg-friend vault rekey` afterwards
    /// gives the database another key.
    #[command(after_help = "Example:\n  wg-friend vault passphrase remove kim")]
    Remove {
        /// Which one
        name: Name,
    },
}

/// A new passphrase.
#[derive(Debug, clap::Args)]
struct NewPassphrase {
    /// Read the new passphrase from a file; its first line counts
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// How costly trying a passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
    #[arg(long, value_name = "PROFILE")]
    kdf: Option<KdfProfile>,
}

impl NewPassphrase {
    /// Takes what wasn't given from what was given before the subcommand.
    fn or(self, before: Self) -> Self {
        Self {
            new_passphrase_file: self.new_passphrase_file.or(before.new_passphrase_file),
            kdf: self.kdf.or(before.kdf),
        }
    }

    fn is_given(&self) -> bool {
        self.new_passphrase_file.is_some() || self.kdf.is_some()
    }

    /// Reads it, or asks for it.
    fn get(&self, context: &Context) -> Result<(Passphrase, KdfParams), Error> {
        let new = context.new_passphrase(self.new_passphrase_file.as_ref())?;
        Ok((new, cost(self.kdf.unwrap_or(context.settings.kdf))?))
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if !matches!(args.command, Command::Status) {
        context.no_dry_run("vault")?;
    }
    match args.command {
        Command::Status => status(context)?,
        Command::Passphrase(args) => passphrase(args, context)?,
        Command::Recovery { shares: Some(count), needed: Some(needed) } => in_shares(count, needed, context)?,
        Command::Recover { shares_file, name, new } => {
            let shares = given_shares(shares_file.as_deref(), context)?;
            let (new, cost) = new.get(context)?;
            let (actor, clock) = (context.actor(), &context.clock);
            let name = vault::recover(&context.database, &shares, name.as_ref(), (&new, cost), &actor, clock)?;
            context.out.done(&serde_json::json!({ "changed": "passphrase", "name": name }), |_| {
                format!("unlocked; the passphrase `{name}` has been replaced")
            })?;
        }
        Command::Recovery { .. } => {
            let (mut store, _) = context.store_with_passphrase()?;
            context.confirm("The recovery key you have now will no longer unlock. Make a new one?")?;
            let key = vault::new_recovery_key(&mut store, &context.actor(), &context.clock)?;
            let key = key.expose();
            context.out.show(&serde_json::json!({ "recovery_key": *key }), |_| recovery(&key))?;
        }
        Command::Rekey => {
            let (mut store, passphrase) = context.store_with_passphrase()?;
            context.confirm("Everything is sealed anew and the recovery key is replaced. Go on?")?;
            let (sealed, key) = vault::rekey(&mut store, &passphrase, &context.actor(), &context.clock)?;
            let key = key.expose();
            let document = serde_json::json!({
                "cells": sealed.cells, "time": sealed.time, "passphrases": sealed.passphrases, "recovery_key": *key
            });
            context.out.show(&document, |_| {
                let names: Vec<_> = sealed.passphrases.iter().map(|name| format!("`{name}`")).collect();
                let (cells, names) = (sealed.cells, names.join(", "));
                format!("{cells} values sealed anew; passphrases that unlock as before: {names}\n\n{}", recovery(&key))
            })?;
        }
        Command::Encrypt { kdf, remove_copies } => encrypt(kdf, remove_copies, context)?,
    }
    Ok(Exit::Done)
}

fn passphrase(args: Passphrases, context: &Context) -> Result<(), Error> {
    let change = |name: Option<Name>, new: NewPassphrase| {
        let (mut store, _) = context.store_with_passphrase()?;
        let (new, cost) = new.get(context)?;
        let name = vault::change_passphrase(&mut store, name.as_ref(), (&new, cost), &context.actor(), &context.clock)?;
        context.out.done(&serde_json::json!({ "changed": "passphrase", "name": name }), |_| {
            format!("the passphrase `{name}` has been replaced")
        })
    };
    match args.command {
        None => change(None, args.new),
        Some(PassphraseCommand::Change { name, new }) => {
            if let Some(name) = &name {
                vault::knows_passphrase(&context.open()?, name)?;
            }
            change(name, new.or(args.new))
        }
        Some(PassphraseCommand::Add { name, new }) => {
            vault::has_no_passphrase(&context.open()?, &name)?;
            let new = new.or(args.new);
            let (mut store, _) = context.store_with_passphrase()?;
            let (new, cost) = new.get(context)?;
            vault::add_passphrase(&mut store, &name, (&new, cost), &context.actor(), &context.clock)?;
            context.out.done(&serde_json::json!({ "added": name }), |_| format!("the passphrase `{name}` unlocks too"))
        }
        Some(PassphraseCommand::Remove { name }) => {
            if args.new.is_given() {
                return Err(Error::value(
                    "--new-passphrase-file, --kdf",
                    "who takes a passphrase away gives no new one",
                ));
            }
            vault::may_be_removed(&context.open()?, &name)?;
            let (mut store, _) = context.store_with_passphrase()?;
            context.confirm(&format!("The passphrase `{name}` will no longer unlock. Remove it?"))?;
            let name = vault::remove_passphrase(&mut store, &name, &context.actor(), &context.clock)?;
            context.out.done(&serde_json::json!({ "removed": name }), |_| {
                format!("the passphrase `{name}` no longer unlocks")
            })?;
            let next = paint(style::DIM, "next:");
            context
                .out
                .note(format!("  {next} `wg-friend vault rekey`, if who had it may have kept the key or a copy"));
            Ok(())
        }
    }
}

fn in_shares(count: u8, needed: u8, context: &Context) -> Result<(), Error> {
    check_counts(count, needed).map_err(crate::db::Error::Shares)?; // before anybody is asked for a passphrase
    let (mut store, _) = context.store_with_passphrase()?;
    context.confirm("The recovery key you have now will no longer unlock. Make a new one?")?;
    let shares = vault::new_recovery_shares(&mut store, (count, needed), &context.actor(), &context.clock)?;
    let texts: Vec<_> = shares.iter().map(Share::expose).collect();
    let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
    context.out.show(&serde_json::json!({ "needed": needed, "shares": texts }), |_| {
        let lines = (1..).zip(&texts).map(|(number, text)| format!("  {number}  {}\n", paint(style::STRONG, text)));
        format!(
            "Recovery key in {count} shares, shown this once: any {needed} of them unlock when the passphrase is lost.\n\
             Give each to somebody else:\n\n{}",
            lines.collect::<String>()
        )
    })
}

/// Reads shares from a file, one a line, or from somebody at a terminal until there are enough.
fn given_shares(file: Option<&Path>, context: &Context) -> Result<Vec<Zeroizing<String>>, Error> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(|line| Zeroizing::new(line.to_owned())).collect());
    }
    if !prompt::is_possible() {
        return Err(Error::MissingAnswer { what: "a file with shares", flag: "--shares-file FILE" });
    }
    let (mut texts, mut shares, mut needed) = (Vec::new(), Vec::new(), 2);
    while texts.len() < needed {
        let text = prompt::passphrase(&format!("Share {}: ", texts.len() + 1))?;
        let share = Share::parse(&text, texts.len() + 1).map_err(crate::db::Error::Shares)?;
        needed = usize::from(share.needed());
        shares.push(share);
        if let Err(again) = repeated(&shares) {
            context.out.warn(format!("{again}; give another one"));
            shares.pop();
        } else {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// What `vault encrypt --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    done: &'a Encryption,
    /// Whether the copies were removed.
    copies_removed: bool,
    recovery_key: &'a str,
}

fn encrypt(kdf: Option<KdfProfile>, remove_copies: bool, context: &Context) -> Result<(), Error> {
    if context.open()?.is_encrypted()? {
        return Err(crate::db::Error::Encrypted.into()); // before anybody is asked for a passphrase
    }
    let cost = cost(kdf.unwrap_or(context.settings.kdf))?;
    let passphrase = init::passphrase(context)?;
    let mut store = context.store()?;
    let (done, key) = vault::encrypt(&mut store, &passphrase, cost, &context.actor(), &context.clock)?;
    let key = key.expose();
    if !context.out.is_json() {
        context.out.text(&format!("{}\n{}", counts(&done), recovery(&key)))?; // at once: it exists nowhere else
    }
    let removed =
        if remove_old(&done, remove_copies, context)? { vault::remove_copies(&store, &done.copies) } else { Ok(()) };
    let copies_removed = removed.is_ok() && !done.copies.is_empty();
    if context.out.is_json() {
        let report = Report { done: &done, copies_removed, recovery_key: &key };
        context.out.show(&report, |_| String::new())?;
    }
    if let Some(reason) = &done.old_pages {
        context.out.warn(format!(
            "what was in the file before may still lie in unused pages of it ({reason}); the next command tries again to write it anew, and `wg-friend vault status` says when it has"
        ));
    }
    removed
}

/// Says what was encrypted.
fn counts(done: &Encryption) -> String {
    let mut fields = Fields::new();
    for Count { kind, count } in &done.counts {
        fields.add(kind, count);
    }
    let what = if done.counts.is_empty() { "no secrets yet\n".to_owned() } else { fields.render() };
    format!("{}\n\n{what}", paint(style::GOOD, "encrypted"))
}

/// Whether the copies from before are to be removed. Without the option, somebody has to say so.
fn remove_old(done: &Encryption, told: bool, context: &Context) -> Result<bool, Error> {
    if done.copies.is_empty() || told {
        return Ok(!done.copies.is_empty());
    }
    let list: String = done.copies.iter().map(|copy| format!("\n  {}", copy.display())).collect();
    context.out.warn(format!("copies of the file from before still hold everything unencrypted:{list}"));
    if context.yes {
        return Ok(true);
    }
    // The database is encrypted by now: who doesn't answer hasn't cancelled that.
    let remove = prompt::is_possible() && prompt::confirm("Remove them?", false).unwrap_or(false);
    if !remove {
        context.out.note(format!("  {} `rm` them once they aren't needed any more", paint(style::DIM, "next:")));
    }
    Ok(remove)
}

/// What is said when a database without encryption was made.
pub(super) fn warn_unencrypted(context: &Context) {
    context.out.warn(format!(
        "the database is not encrypted: whoever can read {}, or a copy of it, has every private key; `wg-friend vault encrypt` makes up for it",
        context.database.display()
    ));
}

/// Marks, in a line of its own, that what was shown comes from a database without encryption.
pub(super) fn mark_unencrypted(database: &Database, context: &Context) -> Result<(), Error> {
    if !database.is_encrypted()? {
        context.out.note(paint(style::DIM, "the database is not encrypted"));
    }
    Ok(())
}

/// Returns the cost of new passphrases; `WG_FRIEND_KDF_LOG_N` lowers it for tests and very small machines.
pub(super) fn cost(profile: KdfProfile) -> Result<KdfParams, Error> {
    vault::cost(profile, std::env::var("WG_FRIEND_KDF_LOG_N").ok().as_deref())
}

/// Returns the recovery key as it is shown, once.
pub(super) fn recovery(key: &str) -> String {
    format!(
        "Recovery key, shown this once. Write it down and keep it away from this machine;\nit unlocks when the passphrase is lost:\n\n  {}\n",
        paint(style::STRONG, key)
    )
}

fn status(context: &Context) -> Result<(), Error> {
    let status = vault::status(&context.open()?)?;
    context.out.show(&status, |status| {
        let mut fields = Fields::new();
        fields.add("database", status.database.display());
        fields.add(
            "state",
            match status {
                Status { encrypted: false, .. } => "not encrypted: nothing to unlock",
                Status { unlocked: true, .. } => "unlocked: the kernel's keyring holds the key",
                Status { .. } => "locked",
            },
        );
        if status.old_pages {
            fields.add("old pages", "what was there before it was encrypted may still lie in the file");
        }
        if status.slots.is_empty() {
            return fields.render();
        }
        fields.add("one try takes", format!("{} MiB of memory", status.memory >> 20));
        let mut slots = Table::new(&["OPENS WITH", "NAME", "SCRYPT", "SINCE", "MADE BY", "LAST USED"]);
        let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
        for slot in &status.slots {
            let name = if slot.kind == "recovery" { "" } else { slot.name.as_str() };
            slots.row([
                (&slot.kind).into(),
                name.into(),
                scrypt(slot).into(),
                time(slot.created).into(),
                slot.operator.clone().unwrap_or_default().into(),
                slot.used.map(time).unwrap_or_default().into(),
            ]);
        }
        format!("{}\n{}", fields.render(), slots.render())
    })
}

/// Says what trying a slot costs, with the name of the profile if it is one.
fn scrypt(slot: &Slot) -> String {
    let cost = format!("n=2^{} r={} p={}", slot.log_n, slot.r, slot.p);
    let is = |profile: KdfParams| (profile.log_n(), profile.r(), profile.p()) == (slot.log_n, slot.r, slot.p);
    match slot {
        _ if is(KdfParams::DEFAULT) => format!("{cost} (standard)"),
        _ if is(KdfParams::LIGHT) => format!("{cost} (light)"),
        _ => cost,
    }
}
