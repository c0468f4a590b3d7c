//! Several things tried one after another: each is reported, and one failure does not stop the rest.

use serde::Serialize;

use super::output::{Exit, Output, describe};
use crate::api::types::{ErrorInfo, Failure};

/// What came of several things. With `--json` the results are one list, in which what failed is
/// `{"path","error"}`; a single thing that failed is a failure like any other.
pub(super) struct Outcomes<'a, T> {
    output: &'a Output,
    outcomes: Vec<Outcome<T>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<T> {
    Done(T),
    Failed { path: String, error: ErrorInfo },
}

impl<'a, T: Serialize> Outcomes<'a, T> {
    pub(super) const fn new(output: &'a Output) -> Self {
        Self {
            output,
            outcomes: Vec::new(),
        }
    }

    /// Reports what came of `path`; people are told at once, by `text`.
    pub(super) fn add(
        &mut self,
        path: &str,
        result: anyhow::Result<T>,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        self.outcomes.push(match result {
            Ok(done) => {
                self.output.text(text(&done))?;
                Outcome::Done(done)
            }
            Err(error) => {
                let error = describe(&error);
                if !self.output.json {
                    self.output.error(&error);
                }
                Outcome::Failed {
                    path: path.to_owned(),
                    error,
                }
            }
        });
        Ok(())
    }

    /// How many were done.
    pub(super) fn done(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Done(_)))
            .count()
    }

    /// Reports to programs, and says how it went.
    pub(super) fn finish(&self) -> anyhow::Result<Exit> {
        match &self.outcomes[..] {
            [Outcome::Failed { error, .. }] => {
                self.output.result(
                    &Failure {
                        error: error.clone(),
                    },
                    String::new,
                )?;
            }
            _ => return self.finish_list(),
        }
        Ok(Exit::Failed)
    }

    /// Whether nothing was tried.
    pub(super) const fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// The same where nobody said how many there would be: a list, whatever it holds.
    pub(super) fn finish_list(&self) -> anyhow::Result<Exit> {
        self.output.result(&self.outcomes, String::new)?;
        Ok(if self.done() == self.outcomes.len() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}
