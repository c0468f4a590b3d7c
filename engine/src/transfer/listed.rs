//! A download in the list.

use std::time::SystemTime;

use pelago_content::Hash;
use pelago_groups::GroupId;

use super::{
    Download, DownloadState, DownloadStatus, Followers, Request, WaitReason, removing::Removal,
    waiting::Offer,
};
use crate::network::PeerAddress;

/// The maximum number of peers that the user may name for one download.
pub(super) const MAX_NAMED: usize = 64;

/// A download in the list.
pub(super) struct ListedDownload {
    pub(super) request: Request,
    pub(super) download: Download,
    pub(super) followers: Followers,
    /// Whether it was paused, so that the next run of the node does not resume it.
    pub(super) is_paused: bool,
    /// When it resumes by itself, if it is paused for some time.
    pub(super) resumes_at: Option<SystemTime>,
    /// Its removal with its data, once that was decided.
    pub(super) removal: Option<Removal>,
}

impl ListedDownload {
    pub(super) fn hash(&self) -> Hash {
        self.request.wanted.hash
    }

    /// Its status, with the time for which it is paused.
    pub(super) fn current_status(&self) -> DownloadStatus {
        let status = self.download.current_status();
        match self
            .resumes_at
            .filter(|_| status.state == DownloadState::Paused)
        {
            Some(until) => DownloadStatus {
                waits: Some(WaitReason::Pause { until }),
                ..status
            },
            None => status,
        }
    }

    /// Whether it fetches, or waits.
    pub(super) fn is_running(&self) -> bool {
        !self.is_paused && self.removal.is_none() && !self.download.state().is_ended()
    }

    pub(super) fn name_and_state(&self) -> (String, DownloadState) {
        let status = self.download.status();
        let status = status.borrow();
        (status.name.clone(), status.state)
    }

    /// Asks peers that the user named after the download began. The list keeps them.
    pub(super) fn add_peers(&mut self, named: &[PeerAddress]) {
        let peers = &mut self.request.wanted.peers;
        for address in named {
            if peers.len() < MAX_NAMED && !peers.contains(address) {
                peers.push(address.clone());
            }
            // If the channel is full, the peer is ignored: those before it are being asked.
            let _ = self.download.offers.try_send(Offer::Named(address.clone()));
        }
    }

    /// How this download differs from what `request` asks for, if it does.
    pub(super) fn differs_from(&self, request: &Request) -> Option<String> {
        let status = self.download.status.borrow();
        let (now, asked) = (&self.request.delivery, &request.delivery);
        let leads_there = |path| asked.output.leads_to(path, &status.name);
        let is_there = || status.path.as_deref().is_some_and(leads_there);
        if request.wanted.group != self.request.wanted.group {
            let place = |group: Option<GroupId>| match group {
                Some(group) => format!("in the group {group:.8}"),
                None => "outside groups".to_owned(),
            };
            let (now, asked) = (self.request.wanted.group, request.wanted.group);
            Some(format!("{}, and not {}", place(now), place(asked)))
        } else if asked.only != now.only {
            let all = "all of it".to_owned();
            let chosen = |only: &Vec<String>| match &only[..] {
                [] => all.clone(),
                only => only.join(", "),
            };
            Some(format!(
                "{}, and not {}",
                chosen(&now.only),
                chosen(&asked.only)
            ))
        } else if asked.output != now.output && !is_there() {
            let path = status.path.as_ref().unwrap_or(now.output.path());
            Some(format!("to {}", crate::store::shown(path)))
        } else if asked.overwrite != now.overwrite {
            let what = if asked.overwrite { "not " } else { "" };
            Some(format!("{what}to replace what is there"))
        } else if asked.links != now.links {
            let (now, asked) = (now.links, asked.links);
            Some(format!("with --links {now}, and not --links {asked}"))
        } else if asked.strict_names != now.strict_names {
            let with = if now.strict_names { "with" } else { "without" };
            Some(format!("{with} --strict-names"))
        } else {
            None
        }
    }
}
