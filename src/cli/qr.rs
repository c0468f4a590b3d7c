//! Links as QR codes, for the camera of whoever sits opposite.

use qrcode::{EcLevel, QrCode, Version, render::unicode::Dense1x2, types::QrError};

use crate::content::Link;

/// The largest code drawn: with its margin 77 columns wide, of the 80 that every terminal has. It
/// holds 425 bytes, a link with three addresses or so.
const MAX_VERSION: i16 = 13;

/// Black on white, whatever the terminal's own colours are: cameras want it so.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

/// A code that fits.
pub(super) struct Code {
    code: QrCode,
    /// How many of the link's addresses it leaves out.
    pub(super) left_out: usize,
}

impl Code {
    /// The code of a link, without the last addresses and the name if there is no room for them.
    ///
    /// # Errors
    ///
    /// It cannot be encoded, whatever is left out.
    pub(super) fn of(link: &Link) -> Result<Self, QrError> {
        let all = link.peers.len();
        let mut link = link.clone();
        loop {
            let code = QrCode::with_error_correction_level(link.to_string(), EcLevel::L);
            let fits = |code: &QrCode| matches!(code.version(), Version::Normal(version) if version <= MAX_VERSION);
            match code {
                Ok(code) if fits(&code) => {
                    let left_out = all - link.peers.len();
                    return Ok(Self { code, left_out });
                }
                code => {
                    let is_less = link.peers.pop().is_some() || link.name.take().is_some();
                    if !is_less {
                        return code.map(|code| Self {
                            code,
                            left_out: all,
                        });
                    }
                }
            }
        }
    }

    /// The code in half blocks, two rows a line. Without colours it is for dark terminals.
    pub(super) fn drawn(&self, coloured: bool) -> String {
        let mut renderer = self.code.render::<Dense1x2>();
        if !coloured {
            return renderer
                .dark_color(Dense1x2::Light)
                .light_color(Dense1x2::Dark)
                .build();
        }
        let lines = renderer.build();
        let line = |line: &str| format!("{BLACK_ON_WHITE}{line}{PLAIN}");
        lines.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Hash;

    fn link(peers: usize, name: &str) -> Link {
        Link {
            name: Some(name.to_owned()),
            size: Some(1 << 40),
            peers: (0..peers)
                .map(|n| {
                    let id = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";
                    format!("/ip4/192.168.1.{n}/tcp/8080/p2p/{id}")
                })
                .collect(),
            ..Link::new(Hash::from_bytes([0xab; 32]))
        }
    }

    /// What a camera reads.
    fn read(code: &Code) -> Link {
        let drawn = code.drawn(false);
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        // Four pixels to a module, light where the block is drawn.
        let light = |x: usize, y: usize| match rows[y / 2][x] {
            '█' => true,
            '▀' => y.is_multiple_of(2),
            '▄' => !y.is_multiple_of(2),
            _ => false,
        };
        let size = rows[0].len();
        let shade = |x: usize, y: usize| match light(x / 4, y / 4) {
            true => 255,
            false => 0,
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(4 * size, 4 * size, shade);
        let grids = image.detect_grids();
        grids[0].decode().unwrap().1.parse().unwrap()
    }

    #[test]
    fn a_camera_reads_the_link() {
        let link = link(2, "holiday film.mkv");
        let code = Code::of(&link).unwrap();
        assert_eq!((read(&code), code.left_out), (link, 0));
    }

    #[test]
    fn what_has_no_room_is_left_out_from_the_end() {
        let link = link(10, "holiday film.mkv");
        let code = Code::of(&link).unwrap();
        let read = read(&code);
        assert_eq!(read.peers, link.peers[..3]);
        assert_eq!((read.name, code.left_out), (link.name, 7));
        assert!(
            code.drawn(false)
                .lines()
                .all(|line| line.chars().count() <= 80)
        );
    }

    #[test]
    fn a_name_without_end_is_left_out_last() {
        let code = Code::of(&link(1, &"x".repeat(1000))).unwrap();
        assert_eq!(read(&code).name, None);
    }

    #[test]
    fn colours_are_set_in_each_line() {
        let drawn = Code::of(&link(0, "x")).unwrap().drawn(true);
        assert!(
            drawn
                .lines()
                .all(|line| { line.starts_with(BLACK_ON_WHITE) && line.ends_with(PLAIN) })
        );
    }
}
