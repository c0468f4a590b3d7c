//! `pelago user`: the user of a node, and the keys.
//!
//! The running node makes each change; without one, the same calls go to the files of the user in
//! this process.

mod create;
mod export;
mod import;
mod passphrase;
mod rename;
mod report;
mod target;

use clap::Subcommand;

use self::target::Target;
use super::{context::Context, output::Exit};
use crate::api::types::UserState;

pub(super) use self::report::{line, report};

/// What to do with the user.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create the user of this node, with a new key for the node
    Create(create::CreateArgs),
    /// Show the user, and whether the user is logged in
    Show,
    /// Change the name, which other people see
    Rename(rename::RenameArgs),
    /// Change the passphrase that seals the keys
    Passphrase(passphrase::PassphraseArgs),
    /// Write the sealed keys to a file: a backup, or to move the user to another machine
    Export(export::ExportArgs),
    /// Make an exported user the user of this node
    Import(import::ImportArgs),
}

pub(super) async fn run(context: &Context, command: &UserCommand) -> anyhow::Result<Exit> {
    match command {
        UserCommand::Create(args) => create::run(context, args).await,
        UserCommand::Show => {
            let status = Target::open(context).await?.status().await?;
            report(context, &status)
        }
        UserCommand::Rename(args) => rename::run(context, args).await,
        UserCommand::Passphrase(args) => passphrase::run(context, args).await,
        UserCommand::Export(args) => export::run(context, args),
        UserCommand::Import(args) => import::run(context, args).await,
    }
}

/// Logs the user out, until the next login.
pub(super) async fn log_out(context: &Context) -> anyhow::Result<Exit> {
    let target = Target::open(context).await?;
    target.client.log_out().await?;
    report(context, &target.status_once(UserState::Locked).await?)
}
