//! What a person pastes: a link, a hash or a name, as an argument, at a prompt or in stdin. Other users
//! of the machine can see arguments, and so the hash of an unlisted link in them.

use std::io::{self, BufRead as _, Read as _};

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::{context::Context, output::Printer, prompt};
use crate::{
    api::types::ErrorInfo,
    content::Link,
    node::{InvalidPeers, InvalidTarget, Target},
};

/// The argument that stands for stdin or a prompt.
pub(super) const STDIN: &str = "-";

/// Bytes that are read from stdin to find a link, at most: the longest one, and some around it.
const MAX_INPUT: u64 = 2 * Link::MAX_LEN as u64;

/// A valid target, or what stands for one in stdin; as it was given.
pub(super) fn target(text: &str) -> Result<String, InvalidTarget> {
    match text {
        STDIN => Ok(text.to_owned()),
        _ => text.parse::<Target>().map(|_| text.to_owned()),
    }
}

/// The target that was `given`, or else that a person pastes.
///
/// # Errors
///
/// Nothing is pasted, or no valid target.
pub(super) async fn given_or_asked(
    context: &Context,
    given: Option<&str>,
) -> anyhow::Result<String> {
    match given {
        Some(given) if given != STDIN => {
            note_cut(&context.output, given);
            Ok(given.to_owned())
        }
        _ => {
            let output = context.output.clone();
            let pasted = spawn_blocking(move || ask(&output)).await??;
            let pasted = pasted.ok_or_else(|| {
                ErrorInfo::new("usage", "no link was given").with_hint(
                    "give a link, a hash or a name as an argument, or as a line of stdin",
                )
            })?;
            let target = target(&pasted);
            target.map_err(|error| ErrorInfo::new("usage", error.to_string()).into())
        }
    }
}

/// The line that a person pastes; none if it is empty.
fn ask(output: &Printer) -> anyhow::Result<Option<String>> {
    const QUESTION: &str = "link, hash or name: ";
    let line = if prompt::is_interactive(output) {
        prompt::ask(QUESTION)?
    } else {
        if prompt::reads_from_terminal() {
            output.note(QUESTION.trim_end());
        }
        let mut line = String::new();
        let stdin = io::stdin().lock().take(MAX_INPUT);
        let read = io::BufReader::new(stdin).read_line(&mut line);
        read.context("the link in stdin cannot be read")?;
        Some(line.trim().to_owned())
    };
    Ok(line.filter(|line| !line.is_empty()))
}

/// Says that a link may have been cut by the shell. Links of Pelago have a size behind the name.
fn note_cut(output: &Printer, given: &str) {
    let Ok(Target::Link(link)) = given.parse() else {
        return;
    };
    let is_cut = link.name.is_some() && link.size.is_none() && link.peers.is_empty();
    if is_cut && !given.contains('&') {
        output.note(
            "the link ends behind the name: if it was longer, the shell has cut it at the first `&`, \
             so put it in quotes",
        );
    }
}

/// Warns of invalid peers in a link.
pub(super) fn note_invalid_peers(output: &Printer, target: &str) {
    if let Ok(Target::Link(link)) = target.parse()
        && let Some(invalid) = InvalidPeers::of(&link)
    {
        output.note(invalid);
    }
}
