# What a host says about itself beyond its WireGuard, for whoever wants to prepare it. Changes nothing. W_WANT: see
# packages.sh; W_OURS: interfaces that belong to the model. One fact a line under `facts`.
w_fact() { printf '%s\n' "$*"; }

w_free() { # KiB free where $1 lies
	df -Pk "$1" 2>/dev/null | awk -v path="$1" 'NR == 2 { print "free", path, $4 }'
}

w_active() { # whether service $1 runs
	case $W_INIT in
	systemd) systemctl is-active -q "$1" 2>/dev/null ;;
	openrc) rc-service -q "$1" status >/dev/null 2>&1 ;;
	*) return 1 ;;
	esac
}

w_main() {
	w_prepare
	w_section facts
	w_fact family "$W_FAMILY"
	w_tunnel || :
	w_fact tunnel "${W_TUNNEL:-none}"
	if [ -c /dev/net/tun ]; then w_fact tun yes; else w_fact tun no; fi
	if w_have nft; then if nft list tables >/dev/null 2>&1; then w_fact nft works; else w_fact nft fails; fi; else w_fact nft missing; fi
	for w_v in $W_MISSING; do w_fact missing "${w_v%%:*}"; done
	if w_resolved; then w_fact resolved yes; fi
	case $W_INIT in
	systemd)
		if systemctl cat wg-quick@.service >/dev/null 2>&1; then w_fact service yes; else w_fact service no; fi ;;
	openrc) if [ -e /etc/init.d/wg-quick ]; then w_fact service yes; else w_fact service no; fi ;;
	*) if [ -x /etc/rc.local ] || [ ! -e /etc/rc.local ]; then w_fact service yes; else w_fact service no; fi ;;
	esac
	for w_v in /etc /var/lib /run; do w_free $w_v; done
	for w_v in net/ipv4/ip_forward net/ipv6/conf/all/forwarding; do
		if ! w_x=$(cat "/proc/sys/$w_v" 2>/dev/null); then w_fact forward "$w_v" absent
		elif { echo "$w_x" > "/proc/sys/$w_v"; } 2>/dev/null; then w_fact forward "$w_v" "$w_x" # the value it has
		else w_fact forward "$w_v" fixed; fi
	done
	w_v=$(ip -4 route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
	[ -n "$w_v" ] || w_v=$(ip -6 route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
	if [ -n "$w_v" ] && w_x=$(cat "/sys/class/net/$w_v/mtu" 2>/dev/null); then w_fact uplink "$w_v" "$w_x"; fi
	if w_have ufw && w_x=$(ufw status 2>/dev/null) && case $w_x in *'Status: active'*) : ;; *) false ;; esac; then w_fact front ufw; fi
	for w_v in firewalld shorewall csf; do if w_active $w_v; then w_fact front $w_v; fi; done
	if w_have iptables && iptables -S FORWARD 2>/dev/null | grep -q '^-P FORWARD DROP'; then w_fact forward-drop iptables; fi
	if w_active nftables && grep -qs '^[[:space:]]*flush ruleset' /etc/nftables.conf; then w_fact flushes nftables; fi
	if w_active NetworkManager; then w_fact manager NetworkManager; fi
	for w_v in $(wg show interfaces 2>/dev/null); do
		case " $W_OURS " in *" $w_v "*) ;; *) w_fact interface "$w_v" "$(wg show "$w_v" listen-port 2>/dev/null)" ;; esac
	done
	[ ! -r /var/lib/wg-friend/installed ] || sed -n 's/^package /installed /p' /var/lib/wg-friend/installed
	w_section end
}
