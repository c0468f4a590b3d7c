//! Small programs in C, compiled at run time, for calls that safe Rust lacks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Failure;

const HELPER: &str = include_str!("helper.c");
const SHIM: &str = include_str!("shim.c");

pub(crate) struct Tools {
    /// See `helper.c`.
    helper: PathBuf,
    /// See `shim.c`.
    pub(crate) shim: PathBuf,
}

impl Tools {
    /// Compiles them in `folder`.
    pub(crate) fn compile(folder: &Path) -> Result<Self, Failure> {
        let build = |name: &str, source: &str, flags: &[&str]| {
            let (from, to) = (folder.join(format!("{name}.c")), folder.join(name));
            fs::write(&from, source)?;
            let mut cc = Command::new("cc");
            cc.args(["-O1", "-o"]).arg(&to).arg(&from).args(flags);
            run(&mut cc)?;
            Ok::<_, Failure>(to)
        };
        Ok(Self {
            helper: build("helper", HELPER, &[])?,
            shim: build("shim.so", SHIM, &["-shared", "-fPIC", "-ldl"])?,
        })
    }

    pub(crate) fn helper(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.helper);
        command.args(arguments);
        command
    }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}", printed.trim()).into())
}
