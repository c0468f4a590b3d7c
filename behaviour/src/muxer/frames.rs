//! Finds frames in the bytes of a connection. Pure; yamux decides whether they are valid.

use thiserror::Error;

/// Bytes of a header: version, type, flags, stream and length.
const HEADER_LEN: usize = 12;

/// The type of data frames. Only they have a body.
const DATA: u8 = 0;

/// The flag of a frame that opens a stream.
const SYN: u8 = 1;

/// The longest body of a frame, in bytes: as much as the initial window of a stream. Other
/// implementations send at most 64 KiB at a time.
pub(super) const MAX_BODY: u32 = yamux::DEFAULT_CREDIT;

/// A frame is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a frame of {0} bytes is longer than {MAX_BODY}")]
pub(super) struct TooLong(u32);

/// A piece of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A header, which a body of this length follows.
    Header { stream: u32, opens: bool, body: u32 },
    /// This many bytes of the body of a frame.
    Body(u32),
    /// The end of a body of this length.
    End { stream: u32, body: u32 },
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_LEN],
    /// Bytes of the header received so far.
    have: usize,
    stream: u32,
    body: u32,
    /// Bytes of the body still to come.
    left: u32,
}

impl Frames {
    /// Parses the next bytes.
    pub(super) fn pass<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut act: impl FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let len = bytes.len().min(self.left as usize);
                bytes = &bytes[len..];
                // No more than `left`, which is a u32.
                let len = len as u32;
                self.left -= len;
                act(Part::Body(len))?;
                if self.left == 0 {
                    let (stream, body) = (self.stream, self.body);
                    act(Part::End { stream, body })?;
                }
                continue;
            }
            let len = bytes.len().min(HEADER_LEN - self.have);
            self.header[self.have..self.have + len].copy_from_slice(&bytes[..len]);
            self.have += len;
            bytes = &bytes[len..];
            if self.have == HEADER_LEN {
                self.have = 0;
                act(self.begin()?)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Part, TooLong> {
        let [_, kind, _, flags, stream @ .., a, b, c, d] = self.header;
        self.stream = u32::from_be_bytes(stream);
        self.body = match kind {
            DATA => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        };
        if self.body > MAX_BODY {
            return Err(TooLong(self.body));
        }
        self.left = self.body;
        Ok(Part::Header {
            stream: self.stream,
            opens: flags & SYN != 0 && kind <= 1,
            body: self.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(kind: u8, flags: u8, stream: u32, len: u32) -> Vec<u8> {
        let mut header = vec![0, kind, 0, flags];
        header.extend(stream.to_be_bytes());
        header.extend(len.to_be_bytes());
        header
    }

    fn parts(bytes: &[u8], step: usize) -> Result<Vec<Part>, TooLong> {
        let (mut frames, mut parts) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(step) {
            frames.pass(piece, |part| {
                parts.push(part);
                Ok::<(), TooLong>(())
            })?;
        }
        Ok(parts)
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let mut bytes = header(DATA, SYN, 5, 3);
        bytes.extend(b"abc");
        // A window update, whose length is not that of a body.
        bytes.extend(header(1, SYN, 7, 1 << 30));
        bytes.extend(header(2, SYN, 0, 9));
        bytes.extend(header(DATA, 4, 5, 0));
        let headers = [(5, true, 3), (7, true, 0), (0, false, 0), (5, false, 0)];
        let headers = headers.map(|(stream, opens, body)| Part::Header {
            stream,
            opens,
            body,
        });
        for step in 1..bytes.len() {
            let found = parts(&bytes, step).unwrap();
            let is_header = |part: &&Part| matches!(part, Part::Header { .. });
            assert!(found.iter().filter(is_header).eq(&headers), "{step}");
            assert!(found.contains(&Part::End { stream: 5, body: 3 }));
            let body = found.iter().map(|part| match part {
                Part::Body(len) => *len,
                _ => 0,
            });
            assert_eq!(body.sum::<u32>(), 3);
        }
    }

    /// What a peer may send: headers of any kind with short bodies, and bytes that mean nothing.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let frame = (any::<u8>(), any::<u8>(), any::<u32>(), 0..40_u32);
        let frame = frame.prop_map(|(kind, flags, stream, len)| {
            let mut bytes = header(kind % 4, flags, stream, len);
            bytes.extend(vec![0; if kind % 4 == DATA { len as usize } else { 0 }]);
            bytes
        });
        let noise = proptest::collection::vec(any::<u8>(), 0..40);
        let frames = proptest::collection::vec(frame, 0..8);
        (frames, noise).prop_map(|(frames, noise)| [frames.concat(), noise].concat())
    }

    proptest! {
        #[test]
        fn any_bytes_have_the_same_frames_however_they_are_cut(bytes in any_bytes(), step in 1..30_usize) {
            let frames = |step| {
                let parts = parts(&bytes, step)?;
                let is_whole = |part: &Part| !matches!(part, Part::Body(_));
                Ok::<_, TooLong>(parts.into_iter().filter(is_whole).collect::<Vec<_>>())
            };
            prop_assert_eq!(frames(step), frames(usize::MAX));
        }
    }

    #[test]
    fn a_frame_of_any_length_is_not_accepted() {
        assert!(parts(&header(DATA, 0, 1, MAX_BODY), 12).is_ok());
        let found = parts(&header(DATA, 0, 1, MAX_BODY + 1), 12);
        assert_eq!(found, Err(TooLong(MAX_BODY + 1)));
    }
}
