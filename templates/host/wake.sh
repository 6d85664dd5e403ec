# Has the first packet of any handshake wake this shell, and so the second one, which answers what the interface itself began:
# 148 bytes of UDP that begin with 1 and three zeros, and 92 that begin with 2 (WireGuard paper, sections 5.4.2 and 5.4.3).
TABLE=wgf-$KIND-$IFACE
FIFO=$RUN/$KIND-$IFACE.fifo

# $1: the ports, with commas between them. Fails where a handshake can't be seen as it comes.
listen() {
	have nft && [ -n "$1" ] || return 1
	nft "table inet $TABLE; delete table inet $TABLE; table inet $TABLE {
		chain arriving {
			type filter hook prerouting priority -350
			udp dport { $1 } udp length 156 @th,64,32 0x01000000 limit rate 20/second burst 40 packets meta nftrace set 1
			udp dport { $1 } udp length 100 @th,64,32 0x02000000 limit rate 20/second burst 40 packets meta nftrace set 1
		}
	}" 2>/dev/null || return 1
	rm -f "$FIFO"
	mkfifo "$FIFO" 2>/dev/null || return 1
	nft monitor trace > "$FIFO" 2>/dev/null & helpers=$!
	while read -r line; do
		case $line in *" inet $TABLE arriving packet: "*) ;; *) continue ;; esac
		read -r whom < "/proc/$$/cmdline" # without a line's end it fails, and reads all the same
		case $whom in *"wgf-$KIND-$IFACE.sh"*) kill -USR1 $$ ;; *) break ;; esac # nobody else who has that number by now
	done < "$FIFO" 2>/dev/null & helpers="$helpers $!"
}
port_of() {
	port=$(wg show "$1" listen-port 2>/dev/null) && [ "$port" -gt 0 ] 2>/dev/null || port=
}
no_longer_listen() {
	rm -f "$FIFO"
	! have nft || nft "table inet $TABLE; delete table inet $TABLE" 2>/dev/null || :
}
# Whoever ends this one, be it `stop`, `start` or a deploy, ends what it listens by.
end_with_all() {
	! mine || no_longer_listen
	leave
}

# How long to sleep. What has woken this shell may not have come to the interface yet.
next_nap() {
	case $soon in
	7) nap=0.001 ;; 6) nap=0.005 ;; 5) nap=0.01 ;; 4) nap=0.03 ;; 3) nap=0.05 ;; 2) nap=0.08 ;; 1) nap=0.16 ;;
	*) nap=$EVERY soon=1 ;;
	esac
	soon=$((soon - 1))
}

