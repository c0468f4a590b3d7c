//! The outcomes of several paths or downloads: each is reported, and a failure does not stop
//! the others.

use serde::Serialize;

use super::output::{Exit, Printer, error_info};
use crate::api::types::{ErrorInfo, Failure};

/// The outcomes of several attempts. With `--json` they are one list, in which a failure is
/// `{"path","error"}`; a single attempt that failed is reported like the failure of any command.
pub(super) struct Outcomes<'a, T> {
    output: &'a Printer,
    outcomes: Vec<Outcome<T>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<T> {
    Done(T),
    Failed { path: String, error: ErrorInfo },
}

impl<'a, T: Serialize> Outcomes<'a, T> {
    pub(super) const fn new(output: &'a Printer) -> Self {
        Self {
            output,
            outcomes: Vec::new(),
        }
    }

    /// Adds the outcome for `path`. People see it immediately, as `text`.
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
                let error = error_info(&error);
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

    /// Adds the outcomes of an attempt that does several things for `path`.
    pub(super) fn add_all(
        &mut self,
        path: &str,
        result: anyhow::Result<Vec<T>>,
        text: impl Fn(&T) -> String,
    ) -> anyhow::Result<()> {
        match result {
            Ok(done) => done
                .into_iter()
                .try_for_each(|done| self.add(path, Ok(done), &text)),
            Err(error) => self.add(path, Err(error), text),
        }
    }

    /// How many attempts succeeded.
    pub(super) fn done(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Done(_)))
            .count()
    }

    /// Prints the outcomes for programs, and returns the exit code.
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

    /// Whether there were no attempts.
    pub(super) const fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// The same for a number of attempts that the person did not choose: always a list.
    pub(super) fn finish_list(&self) -> anyhow::Result<Exit> {
        self.output.result(&self.outcomes, String::new)?;
        Ok(if self.done() == self.outcomes.len() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}
