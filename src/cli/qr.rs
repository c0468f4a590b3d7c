//! QR codes on a terminal.

use qrcode::render::unicode::Dense1x2;

use crate::api::QrCode;

/// Black on white, which cameras need; independent of the colours of the terminal.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

/// The code in half blocks, two rows a line. Without colours, cameras can read it on dark terminals
/// only.
pub(super) fn drawn(code: &QrCode, coloured: bool) -> String {
    let mut renderer = code.code.render::<Dense1x2>();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Hash, Link};

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

    /// The link that a camera reads.
    fn read(code: &QrCode) -> Link {
        let text = drawn(code, false);
        let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
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
        let code = QrCode::of(&link).unwrap();
        assert_eq!((read(&code), code.left_out), (link, 0));
    }

    #[test]
    fn addresses_that_do_not_fit_are_left_out_from_the_end() {
        let link = link(10, "holiday film.mkv");
        let code = QrCode::of(&link).unwrap();
        let read = read(&code);
        let kept = read.peers.len();
        assert_eq!(read.peers, link.peers[..kept]);
        assert!(
            (4..10).contains(&kept),
            "{kept} addresses of one peer, which is named once"
        );
        assert_eq!((read.name, code.left_out), (link.name, 10 - kept));
        assert!(
            drawn(&code, false)
                .lines()
                .all(|line| line.chars().count() <= 80)
        );
    }

    #[test]
    fn a_very_long_name_is_left_out_last() {
        let code = QrCode::of(&link(1, &"x".repeat(1000))).unwrap();
        assert_eq!(read(&code).name, None);
    }

    #[test]
    fn colours_are_set_in_each_line() {
        let text = drawn(&QrCode::of(&link(0, "x")).unwrap(), true);
        assert!(
            text.lines()
                .all(|line| { line.starts_with(BLACK_ON_WHITE) && line.ends_with(PLAIN) })
        );
    }
}
