//! `vault`: the passphrase, the recovery key, and what they open.

use std::path::PathBuf;

use clap::Subcommand;

use super::output::{Fields, Table, paint, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::safety::vault;
use crate::settings::KdfProfile;

/// Look after the vault: status, passphrase, recovery key, rekeying
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
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
    }
    Ok(Exit::Done)
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
        fields.add("state", if status.unlocked { "unlocked: the kernel's keyring holds the key" } else { "locked" });
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
