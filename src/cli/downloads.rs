//! `pelago downloads`: the running node's downloads.

use super::{
    attach,
    context::Context,
    output::Exit,
    text::{bytes, harmless, table},
};
use crate::api::types::DownloadStatus;

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let downloads = attach::required(context).await?.downloads().await?;
    if downloads.is_empty() {
        context.output.note("the node downloads nothing");
    }
    context.output.result(&downloads, || describe(&downloads))?;
    Ok(Exit::Done)
}

fn describe(downloads: &[DownloadStatus]) -> String {
    if downloads.is_empty() {
        return String::new();
    }
    let headings = ["STATE", " DONE", " SIZE", " RATE", " SOURCES", "NAME"].map(str::to_owned);
    let row = |download: &DownloadStatus| {
        vec![
            harmless(&download.state),
            done(download),
            download.size.map_or_else(|| "?".to_owned(), bytes),
            format!("{}/s", bytes(download.bytes_per_second)),
            download.sources.to_string(),
            harmless(&download.name),
        ]
    };
    let rows = downloads.iter().map(row);
    table(
        &[headings.to_vec()]
            .into_iter()
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}

/// Whole percents, never rounded up to 100.
fn done(download: &DownloadStatus) -> String {
    let verified = u128::from(download.verified_bytes) * 100;
    match download.size {
        None => "?".to_owned(),
        Some(0) => "100 %".to_owned(),
        Some(size) => format!("{} %", verified / u128::from(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let download = DownloadStatus {
            hash: String::new(),
            name: "a.bin".to_owned(),
            path: None,
            state: "downloading".to_owned(),
            size: Some(1000),
            verified_bytes: 999,
            bytes_per_second: 2048,
            sources: 2,
        };
        let unknown = DownloadStatus {
            size: None,
            ..download.clone()
        };
        assert_eq!(
            describe(&[download, unknown]),
            "STATE        DONE    SIZE       RATE  SOURCES  NAME\n\
             downloading  99 %  1000 B  2.0 KiB/s        2  a.bin\n\
             downloading     ?       ?  2.0 KiB/s        2  a.bin"
        );
    }
}
