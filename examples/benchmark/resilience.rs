//! Sources that die and restart while a file is fetched from them.
//!
//! ```text
//!   four sources <--- sink      one source after the other stops, and restarts at its address
//! ```

use std::{path::Path, time::Duration};

use pelago::Hash;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    Failure,
    cases::{Scale, addresses, end, fetch_anew, size},
    figures::{Figures, Interest, Row},
    peers::{Peer, Place},
};

/// Sources, of which one at a time is dead.
const SOURCES: usize = 4;

/// The result of a run among dying sources.
struct Survived {
    time: Duration,
    deaths: usize,
    /// Bytes that sources sent beyond those of the file.
    wasted: u64,
}

pub(crate) async fn measure(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let original = place.file(scale.resilience)?;
    let mut sources = Vec::new();
    let mut shared = None;
    for _ in 0..SOURCES {
        let source = place.source().await?;
        shared = Some(source.share(&original).await?);
        sources.push(source);
    }
    let hash = shared.ok_or("there is no source")?;
    let calm = fetch_anew(place, hash, &addresses(&sources), &original, repeat).await?;
    let mut survived = Vec::new();
    for _ in 0..repeat {
        let run = survive(place, scale, hash, &original, &mut sources).await?;
        survived.push(run);
    }
    end(sources).await;
    let deaths: usize = survived.iter().map(|run| run.deaths).sum();
    let wasted: u64 = survived.iter().map(|run| run.wasted).sum();
    let note = format!(
        "{deaths} deaths in total, {:.1} MiB sent without use for each",
        wasted as f64 / deaths.max(1) as f64 / f64::from(1 << 20)
    );
    let times = survived.iter().map(|run| run.time).collect();
    Ok(Figures {
        case: "resilience",
        title: format!(
            "{} from {SOURCES} sources, of which one dies every {:?} and restarts",
            size(scale.resilience),
            scale.death_interval
        ),
        interest: Interest::Rate,
        rows: vec![
            Row::new("no source dies", scale.resilience, calm),
            Row::new("they die", scale.resilience, times).with_note(note),
        ],
    })
}

async fn survive(
    place: &Place,
    scale: &Scale,
    hash: Hash,
    original: &Path,
    sources: &mut Vec<Peer>,
) -> Result<Survived, Failure> {
    let sink = place.sink().await?;
    let from = addresses(sources);
    let download = sink.fetch(hash, &from, original);
    tokio::pin!(download);
    let mut death = interval(scale.death_interval);
    death.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate.
    death.tick().await;
    let (mut deaths, mut sent) = (0, 0);
    let time = loop {
        tokio::select! {
            time = &mut download => break time?,
            _ = death.tick() => {
                // The source that has run longest. The download continues meanwhile.
                let source = sources.remove(0);
                sent += source.sent_to(&sink).await?;
                let (restarted, ended) = restart_beside(source, &mut download).await?;
                sources.push(restarted);
                deaths += 1;
                if let Some(time) = ended {
                    break time;
                }
            }
        }
    };
    for source in &*sources {
        sent += source.sent_to(&sink).await?;
    }
    sink.node.shutdown().await;
    let wasted = sent.saturating_sub(scale.resilience);
    Ok(Survived {
        time,
        deaths,
        wasted,
    })
}

/// Restarts a source while the download runs; the time of the download, if it ended meanwhile.
async fn restart_beside(
    source: Peer,
    download: &mut (impl Future<Output = Result<Duration, Failure>> + Unpin),
) -> Result<(Peer, Option<Duration>), Failure> {
    let restart = source.restart();
    tokio::pin!(restart);
    let mut ended = None;
    loop {
        tokio::select! {
            restarted = &mut restart => return Ok((restarted?, ended)),
            time = &mut *download, if ended.is_none() => ended = Some(time?),
        }
    }
}
