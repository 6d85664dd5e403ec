//! `vault`: the passphrase, the recovery key, and what they open.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::output::{Fields, Table, paint, style};
use super::{Context, Exit, init, prompt};
use crate::db::{Count, Database};
use crate::ops::Error;
use crate::ops::safety::vault::{self, Encryption, Status};
use crate::settings::KdfProfile;

/// Look after the vault: status, passphrase, recovery key, rekeying, encrypting
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend vault status\n  wg-friend vault passphrase --new-passphrase-file /run/secrets/new\n  wg-friend vault encrypt --remove-copies"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how the vault stands; needs no passphrase
    Status,
    /// Replace the passphrase
    ///
    /// Costs the same whatever the size of the database. If the old passphrase may have become known, run `wg-friend vault
    /// rekey` too.
    Passphrase {
        /// Read the new passphrase from a file; its first line counts
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        /// How costly trying a passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
        #[arg(long, value_name = "PROFILE")]
        kdf: Option<KdfProfile>,
    },
    /// Print a new recovery key; the old one no longer unlocks
    Recovery,
    /// Seal everything anew under a new key, with a new recovery key
    Rekey,
    /// Encrypt a database that was made without encryption
    ///
    /// Takes a new passphrase, from where passphrases come from or typed twice, and prints a recovery key once. Everything
    /// secret is encrypted under a new key in one transaction, and the file is written anew, so that nothing of it is left
    /// in unused pages. What others have copied before stays readable to them: rotate the keys of your nodes as well.
    Encrypt {
        /// How costly trying a passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
        #[arg(long, value_name = "PROFILE")]
        kdf: Option<KdfProfile>,
        /// Remove the copies that upgrades left beside the file, which still hold it unencrypted
        #[arg(long)]
        remove_copies: bool,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if !matches!(args.command, Command::Status) {
        context.no_dry_run("vault")?;
    }
    match args.command {
        Command::Status => status(context)?,
        Command::Passphrase { new_passphrase_file, kdf } => {
            let (mut store, _) = context.store_with_passphrase()?;
            let new = context.new_passphrase(new_passphrase_file.as_ref())?;
            let cost = cost(kdf.unwrap_or(context.settings.kdf))?;
            vault::change_passphrase(&mut store, &new, cost, &context.actor(), &context.clock)?;
            context
                .out
                .done(&serde_json::json!({ "changed": "passphrase" }), |_| "the passphrase has been replaced".into())?;
        }
        Command::Recovery => {
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
            let document = serde_json::json!({ "cells": sealed.cells, "time": sealed.time, "recovery_key": *key });
            context.out.show(&document, |_| format!("{} values sealed anew\n\n{}", sealed.cells, recovery(&key)))?;
        }
        Command::Encrypt { kdf, remove_copies } => encrypt(kdf, remove_copies, context)?,
    }
    Ok(Exit::Done)
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
pub(super) fn cost(profile: KdfProfile) -> Result<crate::db::KdfParams, Error> {
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
        let mut slots = Table::new(&["OPENS WITH", "SCRYPT", "SINCE"]);
        for slot in &status.slots {
            slots.row([
                (&slot.kind).into(),
                format!("n=2^{} r={} p={}", slot.log_n, slot.r, slot.p).into(),
                slot.created.format("%Y-%m-%d %H:%M UTC").into(),
            ]);
        }
        format!("{}\n{}", fields.render(), slots.render())
    })
}
