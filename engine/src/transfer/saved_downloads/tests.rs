//! Lists that are written and read back.

use std::time::Duration;

use libp2p::PeerId;

use super::*;
use crate::store::Scope;

fn request() -> Request {
    Request {
        wanted: Wanted {
            hash: Hash::from_bytes([7; 32]),
            peers: vec!["127.0.0.1:80".parse().unwrap()],
            allowed: Some(vec![PeerId::random()]),
            group: Some(GroupId::from_bytes([3; 32])),
            timeout: Duration::from_secs(30),
            waits: false,
            gives_up: false,
        },
        delivery: Delivery {
            name: None,
            in_place: false,
            output: Output::Into("/tmp".into()),
            only: vec!["*.é".into()],
            overwrite: true,
            links: Links::All,
            strict_names: true,
            may_expand: true,
            durable: true,
            resume_on_start: true,
            seed: true,
            scopes: Scope::Unlisted.into(),
            lists_as_sources: true,
        },
    }
}

#[test]
fn a_request_survives_a_round_trip() {
    let (request, status) = (request(), DownloadStatus::new(request().wanted.hash, None));
    let saved = SavedDownload::new(&request, &status, true).unwrap();
    let list = to_bytes(vec![saved.clone()]);
    assert_eq!(from_bytes(&list), Ok(vec![saved.clone()]));
    let again = saved.request();
    assert_eq!(
        (
            &again.delivery.output,
            &again.wanted.peers,
            &again.wanted.allowed,
            again.wanted.group,
        ),
        (
            &request.delivery.output,
            &request.wanted.peers,
            &request.wanted.allowed,
            request.wanted.group,
        )
    );
    assert_eq!(saved.status().name, request.wanted.hash.to_string());
    assert!(saved.is_paused());
}

#[test]
fn a_removal_is_saved_with_what_to_remove() {
    let (request, status) = (request(), DownloadStatus::new(request().wanted.hash, None));
    for was_done in [true, false] {
        let saved = SavedDownload::new(&request, &status, false).unwrap();
        assert!(!saved.is_removing());
        let list = to_bytes(vec![saved.removing(was_done)]);
        let saved = from_bytes(&list).unwrap().remove(0);
        assert!(saved.is_removing() && saved.is_inactive());
        assert_eq!(saved.is_done(), was_done);
        // What it becomes if it cannot be removed.
        let state = match was_done {
            true => DownloadState::Done,
            false => DownloadState::Paused,
        };
        assert_eq!(saved.status().state, state);
    }
}

#[test]
fn a_damaged_list_differs_from_one_of_a_newer_version() {
    let (request, status) = (request(), DownloadStatus::new(request().wanted.hash, None));
    let list = to_bytes(vec![SavedDownload::new(&request, &status, true).unwrap()]);
    for damaged in [&list[1..], &list[..list.len() / 2], &[0; 100], b""] {
        assert_eq!(from_bytes(damaged), Err(Unreadable::Damaged));
    }
    #[derive(Serialize)]
    struct Other {
        v: u64,
        d: Vec<(u8, &'static str)>,
        new: bool,
    }
    for (v, unreadable) in [
        (VERSION + 1, Unreadable::Newer { version: 2 }),
        (1000, Unreadable::Newer { version: 1000 }),
        (VERSION, Unreadable::Damaged),
        (0, Unreadable::Damaged),
    ] {
        let d = vec![(1, "another form")];
        let other = cbor4ii::serde::to_vec(Vec::new(), &Other { v, d, new: true }).unwrap();
        assert_eq!(from_bytes(&other), Err(unreadable));
    }
}

#[test]
fn a_download_resumes_at_the_path_where_it_began() {
    let request = request();
    let begun = DownloadStatus {
        state: DownloadState::Downloading,
        path: Some("/tmp/x".into()),
        ..DownloadStatus::new(request.wanted.hash, Some("x".into()))
    };
    let saved = SavedDownload::new(&request, &begun, false).unwrap();
    assert_eq!(
        saved.request().delivery.output,
        Output::Exactly("/tmp/x".into())
    );
    assert_eq!(saved.request().delivery.name.as_deref(), Some("x"));
    assert!(!saved.is_inactive());
}

#[test]
fn a_download_that_never_began_at_its_path_is_listed_there_and_requested_as_before() {
    let request = request();
    let failure = |code: &'static str| Failure {
        code: code.into(),
        message: String::new(),
        hint: None,
    };
    let ended = |code| DownloadStatus {
        state: DownloadState::Failed,
        path: Some("/tmp/x".into()),
        failure: Some(failure(code)),
        ..DownloadStatus::new(request.wanted.hash, Some("x".into()))
    };
    let again = |status: &DownloadStatus| {
        let saved = SavedDownload::new(&request, status, false).unwrap();
        let saved = from_bytes(&to_bytes(vec![saved])).unwrap().remove(0);
        assert_eq!(
            saved.status().path.as_deref(),
            Some(std::path::Path::new("/tmp/x"))
        );
        saved.request().delivery.output
    };
    assert_eq!(again(&ended("target-exists")), request.delivery.output);
    assert_eq!(again(&ended("no-source")), Output::Exactly("/tmp/x".into()));
    // It resumes, and has not reached its path again.
    let goes_on = ended("target-exists").resumed();
    assert_eq!(again(&goes_on), request.delivery.output);
}

#[test]
fn a_download_that_waits_for_a_source_waits_in_the_next_run_too() {
    let request = request();
    let waits = DownloadStatus {
        state: DownloadState::Waiting,
        ..DownloadStatus::new(request.wanted.hash, None)
    };
    let saved = |is_paused| {
        let saved = SavedDownload::new(&request, &waits, is_paused).unwrap();
        from_bytes(&to_bytes(vec![saved])).unwrap().remove(0)
    };
    assert!(saved(false).is_waiting() && !saved(true).is_waiting());
    assert!(saved(false).request().wanted.waits);
}

#[test]
fn an_ended_download_is_listed_as_it_ended() {
    let request = request();
    let failure = Failure {
        code: "no-source".into(),
        message: "no source".to_owned(),
        hint: None,
    };
    for (state, path, failure) in [
        (DownloadState::Failed, None, Some(failure.clone())),
        (DownloadState::Failed, Some("/tmp/x".into()), Some(failure)),
        (DownloadState::Done, Some("/tmp/x".into()), None),
    ] {
        let ended = DownloadStatus {
            group: request.wanted.group,
            state,
            path,
            failure,
            ..DownloadStatus::new(request.wanted.hash, Some("x".into()))
        };
        let saved = SavedDownload::new(&request, &ended, false).unwrap();
        let list = from_bytes(&to_bytes(vec![saved])).unwrap();
        assert!(list[0].is_inactive());
        assert_eq!(list[0].status(), ended);
    }
}
