//! How soon the local API answers while a download runs at full speed.

use std::{
    fs,
    time::{Duration, Instant},
};

use pelago::{
    Mode,
    api::{Client, Token, router, serve},
};
use tokio::net::TcpListener;

use crate::{
    Failure,
    cases::Scale,
    figures::{Figures, Interest, Row},
    peers::Place,
};

/// The percentiles of the answers that are reported.
const PERCENTILES: [usize; 3] = [50, 90, 99];

/// Makes the requests of a page and of commands, one after another, each on a connection of its own, for as
/// long as downloads take.
pub(crate) async fn measure(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let source = place.source().await?;
    let original = place.file(scale.large)?;
    let hash = source.share(&original).await?;
    let mut runs = vec![Vec::new(); PERCENTILES.len() + 1];
    let (mut answers, mut took) = (0, Vec::new());
    for _ in 0..repeat {
        let sink = place.start(Mode::LongRunning).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, token) = (listener.local_addr()?, Token::generate());
        let app = router(sink.node.clone());
        let api = serve(listener, app, token.clone(), std::future::pending());
        let api = tokio::spawn(api);
        let client = Client::connect(address, token).await?;
        let from = [source.address.clone()];
        let asking = async {
            let mut times = Vec::new();
            loop {
                times.push(timed(client.status()).await?);
                times.push(timed(client.downloads()).await?);
                times.push(timed(client.peers()).await?);
                times.push(timed(client.detail(&hash.to_string())).await?);
                // This measures answers, not how many requests are allowed.
                tokio::time::sleep(Duration::from_millis(1)).await;
                if client.downloads().await?[0].state == "done" {
                    return Ok::<_, Failure>(times);
                }
            }
        };
        let fetching = sink.download(hash, &from);
        let begun = async {
            while client.downloads().await?.is_empty() {
                tokio::task::yield_now().await;
            }
            asking.await
        };
        let (fetched, times) = tokio::try_join!(fetching, begun)?;
        let (time, copy) = fetched;
        fs::remove_file(copy)?;
        took.push(time);
        answers += times.len();
        let mut sorted = times;
        sorted.sort_unstable();
        for (percentile, runs) in PERCENTILES.iter().zip(&mut runs) {
            runs.push(sorted[(sorted.len() - 1) * percentile / 100]);
        }
        runs[PERCENTILES.len()].extend(sorted.last());
        api.abort();
        sink.node.shutdown().await;
    }
    source.node.shutdown().await;
    let mut runs = runs.into_iter();
    let mut rows: Vec<_> = PERCENTILES
        .iter()
        .zip(&mut runs)
        .map(|(percentile, runs)| Row::new(format!("{percentile} of 100 answers"), 0, runs))
        .collect();
    let note = format!("{answers} answers");
    rows.extend(runs.map(|runs| Row::new("the slowest", 0, runs).with_note(note.clone())));
    rows.push(Row::new("the download meanwhile", scale.large, took));
    Ok(Figures {
        case: "api",
        title: "answers of the local API while a download runs at full speed".to_owned(),
        interest: Interest::Time,
        rows,
    })
}

async fn timed<T, E>(call: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
    let began = Instant::now();
    call.await?;
    Ok(began.elapsed())
}
