"""Reads keyfiles with NetworkManager's own library and prints what it understood, one line each."""

import sys

import gi

gi.require_version("NM", "1.0")
from gi.repository import GLib, NM  # noqa: E402

for path in sys.argv[1:]:
    warnings = []
    file = GLib.KeyFile()
    file.load_from_file(path, GLib.KeyFileFlags.NONE)
    connection = NM.keyfile_read(
        file, "/tmp", NM.KeyfileHandlerFlags.NONE, lambda *said: warnings.append(str(said[1:])) and False
    )
    connection.normalize()
    connection.verify()
    wireguard = connection.get_setting_by_name("wireguard")
    peers = [wireguard.get_peer(at) for at in range(wireguard.get_peers_len())]
    allowed = [peer.get_allowed_ip(at, None) for peer in peers for at in range(peer.get_allowed_ips_len())]
    ip4, ip6 = connection.get_setting_ip4_config(), connection.get_setting_ip6_config()
    print(
        connection.get_interface_name(),
        "port", wireguard.get_listen_port(),
        "mark", wireguard.get_fwmark(),
        "mtu", wireguard.get_mtu(),
        "peers", len(peers),
        "psk", sum(1 for peer in peers if peer.get_preshared_key()),
        "allowed", ",".join(allowed),
        "dns", ",".join(ip4.get_dns(at) for at in range(ip4.get_num_dns())),
        "search", ",".join(ip4.get_dns_search(at) for at in range(ip4.get_num_dns_searches())),
        "tables", ip4.get_route_table(), ip6.get_route_table(),
        "warnings", warnings,
    )
