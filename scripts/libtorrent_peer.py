#!/usr/bin/env python3
"""A BitTorrent peer for scripts/measure-peers.sh: libtorrent with its default settings, except that
nothing leaves the machine (no DHT, LSD, UPnP, NAT-PMP, trackers).

    libtorrent_peer.py version
    libtorrent_peer.py create 1|2 PATH TORRENT     writes a torrent of BitTorrent v1 or v2
    libtorrent_peer.py seed TORRENT FOLDER ADDRESS prints the address it listens on, runs until killed
    libtorrent_peer.py get TORRENT FOLDER ADDRESS PEER...  ends when all content is written

Addresses are IP:PORT; port 0 is any free one. Needs Debian's python3-libtorrent.
"""

import os
import sys

import libtorrent as lt


def create(version, path, torrent):
    files = lt.file_storage()
    lt.add_files(files, path)
    flags = lt.create_torrent_flags_t
    only = 64 if version == "1" else flags.v2_only
    made = lt.create_torrent(files, flags=only)
    lt.set_piece_hashes(made, os.path.dirname(os.path.abspath(path)))
    with open(torrent, "wb") as file:
        file.write(lt.bencode(made.generate()))


def begin(torrent, folder, address, flags=0):
    """Returns the session and the torrent in it."""
    session = lt.session(
        {
            "listen_interfaces": address,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Over loopback, uTP is many times slower than TCP.
            "enable_outgoing_utp": False,
            "alert_mask": lt.alert.category_t.status_notification
            | lt.alert.category_t.error_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags |= flags
    return session, session.add_torrent(params)


def alerts(session):
    while True:
        session.wait_for_alert(60_000)
        yield from session.pop_alerts()


def seed(torrent, folder, address):
    session, _ = begin(torrent, folder, address, lt.torrent_flags.seed_mode)
    for alert in alerts(session):
        if isinstance(alert, lt.listen_succeeded_alert) and "TCP" in str(alert.socket_type).upper():
            print(f"{alert.address}:{alert.port}", flush=True)


def get(torrent, folder, address, *peers):
    session, handle = begin(torrent, folder, address)
    for peer in peers:
        ip, port = peer.rsplit(":", 1)
        handle.connect_peer((ip, int(port)))
    for alert in alerts(session):
        if isinstance(alert, lt.torrent_finished_alert):
            return
        if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
            sys.exit(alert.message())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["version"]:
            print(lt.__version__)
        case ["create", version, path, torrent]:
            create(version, path, torrent)
        case ["seed", torrent, folder, address]:
            seed(torrent, folder, address)
        case ["get", torrent, folder, address, *peers]:
            get(torrent, folder, address, *peers)
        case _:
            sys.exit(__doc__)
