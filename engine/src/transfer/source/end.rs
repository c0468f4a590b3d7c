//! Why a source ended.

use pelago_behaviour::FrameError;
use pelago_content::Printable;

use crate::{network::StreamError, store::WriteError};

/// Why a source ended.
#[derive(Debug)]
pub(in crate::transfer) enum End {
    /// No connection to it can be made.
    Unreachable(String),
    /// It has none of the content, or gives none to us.
    Absent,
    /// It serves as many streams as it can, and refuses ours.
    Busy,
    /// It is not among the peers that may be asked.
    NotAllowed,
    /// It is not a node of a member of the group in which the content is fetched.
    NotAMember,
    /// The connection or the stream failed or stalled.
    Lost(String),
    /// It sent wrong data, and is never asked again.
    Dishonest(String),
    /// It costs more than it brings, and is never asked again either.
    Refused(String),
    /// Not the source's fault: a chunk cannot be written.
    Disk(WriteError),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Lost(Printable(error).to_string()),
            broken => Self::Dishonest(broken.to_string()),
        }
    }
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::Lost(Printable(error).to_string())
    }
}
