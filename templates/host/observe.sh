# One round trip: all there is to know about a host. W_NUDGE: INTERFACE/ADDRESS words to ping first, so that peers show
# whether they live.
w_main() {
	if [ -n "$W_NUDGE" ]; then
		for w_a in $W_NUDGE; do ping -n -c 1 -W 1 -I "${w_a%%/*}" "${w_a#*/}" >/dev/null 2>&1 & done
		wait
	fi
	w_init
	w_section system
	read -r w_v < /proc/sys/kernel/osrelease; echo "kernel $w_v"
	read -r w_v < /proc/sys/kernel/hostname; echo "hostname $w_v"
	w_uptime; echo "uptime $w_up"
	echo "clock $(date +%s)"
	echo "init $W_INIT"
	if [ -r /etc/os-release ]; then
		while IFS= read -r w_v; do case $w_v in PRETTY_NAME=*) w_v=${w_v#*=}; w_v=${w_v#\"}; echo "os ${w_v%\"}" ;; esac; done < /etc/os-release
	fi
	for w_t in wg wg-quick ip nft sysctl stat awk sort sha256sum ping resolvconf; do if w_have $w_t; then echo "tool $w_t"; fi; done
	w_dump=$(wg show all dump 2>/dev/null)
	w_text=$(w_still)
	w_digest "$w_text" "$w_dump"
	w_way
	w_section dump; printf '%s\n' "$w_dump"
	printf '%s\n' "$w_text"
	w_section fingerprint "$w_sum"
	for w_i in $W_IFACES; do # no part of the state: an interface that was made anew has another number
		[ -r "/sys/class/net/$w_i/ifindex" ] || continue
		read -r w_v < "/sys/class/net/$w_i/ifindex"; w_section number "$w_i" "$w_v"
	done
	for w_i in $W_IFACES; do # what fallback.sh has moved, and since when
		[ -r "$RUN/moved-$w_i" ] || continue
		while read -r w_k w_v w_rest; do w_section moved "$w_i" "$w_k" "$w_v"; done < "$RUN/moved-$w_i"
	done
	if [ -r "$D/token" ]; then
		read -r w_v < "$D/token"; w_until=0; w_by=-
		[ ! -r "$D/until" ] || read -r w_until < "$D/until"
		[ ! -r "$D/decided/by" ] || read -r w_by < "$D/decided/by"
		w_section pending "$w_v" "$((w_until - w_up))" "$w_by"
	fi
	if [ -r "$RUN/last" ]; then w_section last; cat "$RUN/last"; fi
	if [ -r /var/lib/wg-friend/deployed ]; then w_section record; cat /var/lib/wg-friend/deployed; fi
	w_section end
}

# By which way somebody is here: his address, ours, and the interface towards him. sudo(8) takes the variable away, but the
# processes above still have it (sshd(8)).
w_way() {
	w_ssh=${SSH_CONNECTION-}
	w_p=$PPID
	while [ -z "$w_ssh" ] && [ "${w_p:-0}" -gt 1 ] 2>/dev/null; do
		w_ssh=$(tr '\0' '\n' < "/proc/$w_p/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
		w_p=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$w_p/status" 2>/dev/null)
	done
	[ -n "$w_ssh" ] || return 0
	set -f; set -- $w_ssh; set +f
	[ $# -ge 3 ] || return 0
	w_dev=$(ip -o route get "$1" from "$3" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
	w_section way "$1" "$3" "${w_dev:--}"
}
