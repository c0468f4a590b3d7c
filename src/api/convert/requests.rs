//! Requests, from JSON types.

use std::path::PathBuf;

use pelago_groups::GroupId;
use tokio::sync::watch;

use crate::{
    api::{
        error::ApiError,
        seconds,
        types::{self, ErrorInfo},
    },
    config::{NewValue, OtherLimits},
    node::{self, Node},
};

/// A change of limits, as a change of the settings that hold them.
pub(in crate::api) fn limits_change(
    from: types::LimitsChange,
) -> Result<Vec<(String, Option<NewValue>)>, ApiError> {
    let limits = [
        ("upload", "upload_limit", from.upload),
        ("download", "download_limit", from.download),
        (
            "upload_per_peer",
            "upload_limit_per_peer",
            from.upload_per_peer,
        ),
        (
            "download_per_peer",
            "download_limit_per_peer",
            from.download_per_peer,
        ),
    ];
    let mut changes = Vec::new();
    for (name, key, limit) in limits {
        let Some(bytes) = limit else { continue };
        let wrong =
            |error| ApiError::bad("bad-limit", format!("{name}: {error}, or 0 for no limit"));
        let limit = node::Rate::limit(bytes.unwrap_or(0)).map_err(wrong)?;
        // A rate is at most a terabyte per second, which fits.
        let bytes = limit.map_or(0, |rate| rate.bytes().cast_signed());
        changes.push((format!("transfer.{key}"), Some(NewValue::Number(bytes))));
    }
    Ok(changes)
}

/// A change of limits that holds for some time.
pub(in crate::api) fn other_limits(from: types::LimitsChange) -> Result<OtherLimits, ApiError> {
    let limits = [
        from.upload,
        from.download,
        from.upload_per_peer,
        from.download_per_peer,
    ];
    let mut other = OtherLimits::default();
    for (other, limit) in other.0.iter_mut().zip(limits) {
        let Some(bytes) = limit else { continue };
        let rate = node::Rate::limit(bytes.unwrap_or(0));
        let wrong = |error| ApiError::bad("bad-limit", format!("{error}, or 0 for no limit"));
        *other = Some(rate.map_err(wrong)?);
    }
    if other == OtherLimits::default() {
        let message = "a time without a limit changes nothing: name a limit as well";
        return Err(ApiError::bad("bad-limit", message));
    }
    Ok(other)
}

/// A request to share, and whether it is to be shared with everyone first, as the request itself is
/// for groups.
pub(in crate::api) fn share_request(
    node: &Node,
    from: types::ShareRequest,
) -> Result<(node::ShareRequest, bool), ApiError> {
    let groups = from.groups.iter().map(|group| node.group_id(group));
    let groups: Vec<_> = groups.collect::<Result<_, _>>()?;
    let is_for_everyone = from.everyone.unwrap_or(groups.is_empty());
    if !is_for_everyone && groups.is_empty() {
        let message = "with everyone false, groups has to name one";
        return Err(ApiError::bad("bad-request", message));
    }
    let is_for_both = is_for_everyone && !from.unlisted && !groups.is_empty();
    let request = node::ShareRequest {
        path: absolute(from.path)?,
        name: from.name,
        unlisted: from.unlisted && is_for_everyone,
        groups,
        rehash: from.rehash,
        skip_unsupported: from.skip_unsupported,
    };
    Ok((request, is_for_both))
}

/// The id of the group that a request names, if it names one.
pub(in crate::api) fn group_id(
    node: &Node,
    group: Option<&str>,
) -> Result<Option<GroupId>, ApiError> {
    Ok(group.map(|group| node.group_id(group)).transpose()?)
}

/// A request to download.
pub(in crate::api) async fn download_request(
    node: &Node,
    from: types::DownloadRequest,
) -> Result<node::DownloadRequest, ApiError> {
    let wrong_target = |error: node::InvalidTarget| ApiError::bad("bad-target", error.to_string());
    let timeout = seconds::duration(from.timeout_seconds);
    Ok(node::DownloadRequest {
        target: from.target.parse().map_err(wrong_target)?,
        in_place: from.in_place || from.output == types::Output::Default,
        output: match from.output {
            types::Output::Default => node::Output::Into(download_folder(node).await?),
            types::Output::Into(folder) => node::Output::Into(absolute(folder)?),
            types::Output::At(path) => node::Output::At(absolute(path)?),
        },
        peers: addresses(&from.peers)?,
        from: peer_choices(&from.from)?,
        group: group_id(node, from.group.as_deref())?,
        is_public: from.public,
        bootstrap: addresses(&from.bootstrap)?,
        timeout: timeout.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?,
        waits: from.wait,
        asked: watch::Sender::new(0),
        only: from.only,
        overwrite: from.overwrite,
        links: from.links.into(),
        strict_names: from.strict_names,
        may_expand: from.may_expand,
        no_sync: from.no_sync,
        seed: from.seed,
        listed: from.listed,
    })
}

fn peer_choices(texts: &[String]) -> Result<Vec<node::PeerChoice>, ApiError> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|error: node::InvalidPeerId| ApiError::bad("bad-peer", error.to_string()))
    };
    texts.iter().map(parse).collect()
}

async fn download_folder(node: &Node) -> Result<PathBuf, ApiError> {
    node.download_folder().await.map_err(|error| {
        let message = format!("the download folder of the node cannot be used: {error}");
        let hint = "set storage.download_folder, or give an output path for this download";
        ErrorInfo::new("no-download-folder", message)
            .with_hint(hint)
            .into()
    })
}

/// A request to describe content.
pub(in crate::api) fn open_request(
    node: &Node,
    from: &types::OpenRequest,
) -> Result<node::OpenRequest, ApiError> {
    let link = match from.target.parse() {
        Ok(node::Target::Hash(hash)) => hash.into(),
        Ok(node::Target::Link(link)) => link,
        Ok(node::Target::Name(name)) => {
            let message = format!("{name:?} is neither a hash nor a link: use one of them");
            return Err(ApiError::bad("bad-target", message));
        }
        Err(error) => return Err(ApiError::bad("bad-target", error.to_string())),
    };
    let timeout = seconds::duration(from.timeout_seconds);
    Ok(node::OpenRequest {
        link,
        group: group_id(node, from.group.as_deref())?,
        is_public: from.public,
        peers: addresses(&from.peers)?,
        bootstrap: addresses(&from.bootstrap)?,
        timeout: timeout.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?,
        gives_up: from.until_asked,
    })
}

/// Parses the address of a peer.
pub(in crate::api) fn address(text: &str) -> Result<node::PeerAddress, ApiError> {
    let wrong = |error: node::InvalidAddress| ApiError::bad("bad-address", error.to_string());
    text.parse().map_err(wrong)
}

fn addresses(texts: &[String]) -> Result<Vec<node::PeerAddress>, ApiError> {
    texts.iter().map(|text| address(text)).collect()
}

/// Checks that a path is absolute. The node and its caller have different current folders, so a
/// relative path would be ambiguous.
pub(in crate::api) fn absolute(path: String) -> Result<PathBuf, ApiError> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return Ok(path);
    }
    let message = format!("{} is a relative path: use an absolute one", path.display());
    Err(ApiError::bad("relative-path", message))
}
