//! `pelago unshare`: stops sharing.

use std::path::Path;

use super::{
    attach::{self, NodeState},
    context::Context,
    headings::SHARING,
    local,
    output::Exit,
    paths,
    text::escape,
};
use crate::api::types::Shared;

/// What to stop sharing.
#[derive(Debug, clap::Args)]
pub(super) struct UnshareArgs {
    /// A path stops sharing that file or folder; a name, those with that name; a hash, or at least 6
    /// of its first digits, all with that content. Files of a watched folder stay withdrawn until you
    /// share them again
    #[arg(value_name = "HASH|NAME|PATH")]
    what: String,

    /// Stop sharing with this group only
    #[arg(long, value_name = "GROUP", help_heading = SHARING)]
    group: Option<String>,
}

/// The argument; made absolute if it can only be a path.
fn absolute_if_path(given: &str) -> anyhow::Result<String> {
    let is_path = given.starts_with("./") || given.starts_with("../");
    if !is_path {
        return Ok(given.to_owned());
    }
    paths::absolute(Path::new(given))
}

pub(super) async fn run(context: &Context, args: &UnshareArgs) -> anyhow::Result<Exit> {
    let what = absolute_if_path(&args.what)?;
    let path = paths::absolute(Path::new(&what))?;
    let group = args.group.clone();
    let node = match &group {
        // Only a node knows the groups of its user.
        Some(_) => NodeState::Running(attach::require_running(context).await?),
        None => attach::find_or_lock(&context.data_folder).await?,
    };
    let unshared = match node {
        NodeState::Running(client) => client.unshare(&what, Some(path), group).await?,
        NodeState::Absent(folder) => {
            let folders = context.config.storage.share_folders.clone();
            local::unshare(&folder, folders, &what, Path::new(&path))?
        }
    };
    let line = |shared: &Shared| {
        let path = shared.path.as_deref().unwrap_or_default();
        let (hash, name, path) = (&shared.hash, escape(&shared.name), escape(path));
        format!("no longer shared: {hash}  {name}\n  from  {path}\n")
    };
    let text = || unshared.iter().map(line).collect::<String>();
    context.output.result(&unshared, text)?;
    Ok(Exit::Done)
}
