//! `pelago unshare`: stops sharing.

use std::path::Path;

use super::{
    attach::{self, NodeState},
    context::Context,
    headings::SHARING,
    local,
    outcomes::Outcomes,
    output::Exit,
    paths,
    text::escape,
};
use crate::api::types::{Group, Shared, UnshareQuery};

/// What to stop sharing.
#[derive(Debug, clap::Args)]
pub(super) struct UnshareArgs {
    /// A path stops sharing that file or folder; a name, those with that name; a hash, or at least 6
    /// of its first digits, all with that content. Files of a watched folder stay withdrawn until you
    /// share them again. Several can be given
    #[arg(value_name = "HASH|NAME|PATH", required = true)]
    what: Vec<String>,

    /// Stop sharing with this group only
    #[arg(long, value_name = "GROUP", help_heading = SHARING)]
    group: Option<String>,

    /// Stop sharing with everyone only; what is shared with groups stays so
    #[arg(long, help_heading = SHARING)]
    public: bool,
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
    let node = match &args.group {
        // Only a node knows the groups of its user.
        Some(_) => NodeState::Running(attach::require_running(context).await?),
        None => attach::find_or_lock(&context.data_folder).await?,
    };
    // Only what is shared with groups names them.
    let groups = match &node {
        NodeState::Running(client) => client.groups().await.unwrap_or_default(),
        NodeState::Absent(_) => Vec::new(),
    };
    let with = match (&args.group, args.public) {
        (Some(group), true) => format!(" with everyone and with {}", escape(group)),
        (Some(group), false) => format!(" with {}", escape(group)),
        (None, true) => " with everyone".to_owned(),
        (None, false) => String::new(),
    };
    let line = |shared: &Shared| {
        let path = shared.path.as_deref().unwrap_or_default();
        let (hash, name, path) = (&shared.hash, escape(&shared.name), escape(path));
        let still = match shared.still_shared {
            true => format!("  still shared with {}\n", audience(shared, &groups)),
            false => String::new(),
        };
        format!("no longer shared{with}: {hash}  {name}\n  from  {path}\n{still}")
    };
    let mut outcomes = Outcomes::new(&context.output);
    for what in &args.what {
        outcomes.add_all(what, unshare(context, &node, args, what).await, line)?;
    }
    outcomes.finish()
}

/// Stops sharing one of the things that were given.
async fn unshare(
    context: &Context,
    node: &NodeState,
    args: &UnshareArgs,
    what: &str,
) -> anyhow::Result<Vec<Shared>> {
    let what = absolute_if_path(what)?;
    let query = UnshareQuery {
        path: Some(paths::absolute(Path::new(&what))?),
        what,
        group: args.group.clone(),
        everyone: args.public,
    };
    match node {
        NodeState::Running(client) => Ok(client.unshare(&query).await?),
        NodeState::Absent(folder) => {
            let folders = context.config.storage.share_folders.clone();
            local::unshare(folder, folders, query)
        }
    }
}

/// With whom content is shared, for people.
fn audience(shared: &Shared, groups: &[Group]) -> String {
    let public = match (shared.group_only, shared.unlisted) {
        (true, _) => None,
        (false, true) => Some("everyone who has the hash".to_owned()),
        (false, false) => Some("everyone".to_owned()),
    };
    let named = shared.groups.iter().map(|id| {
        let group = groups.iter().find(|group| group.id == *id);
        group.map_or_else(|| format!("the group {id:.8}"), |group| escape(&group.name))
    });
    public
        .into_iter()
        .chain(named)
        .collect::<Vec<_>>()
        .join(", ")
}
