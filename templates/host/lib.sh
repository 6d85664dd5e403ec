# What every script on a host begins with. POSIX sh: dash, busybox ash and bash all run it.
# Set before this: B (the answer's boundary), W_IFACES, W_SYSCTLS (paths below /proc/sys), W_TABLES, W_FILES,
# W_KEYS.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
TZ=UTC0 # nft(8) lists times in the zone of whoever asks
export PATH LC_ALL TZ
umask 077
RUN=/run
[ -d /run ] || RUN=/var/run
RUN=$RUN/wg-friend
D=$RUN/deploy
TMPDIR=$RUN # a shell that keeps here-documents in files keeps them in memory, not on the disk
export TMPDIR

w_section() { printf '\n@%s %s\n' "$B" "$*"; }
w_have() { command -v "$1" >/dev/null 2>&1; }
w_uptime() { read -r w_up w_rest < /proc/uptime; w_up=${w_up%.*}; }

# What is reported of a step, for the log: w_begin, the step, w_did NAME yes|no [OUTPUT]. It goes out with the answer: a
# connection that broke must not end a script in its middle.
W_DID=${W_DID-}
w_begin() { read -r w_since w_rest < /proc/uptime; }
w_did() {
	read -r w_ended w_rest < /proc/uptime
	W_DID="$W_DID
@$B did $1 $w_since $w_ended $2
${3:-}
"
}
w_reports() { printf '%s' "$W_DID"; }

w_init() {
	if [ -d /run/systemd/system ]; then W_INIT=systemd
	elif w_have rc-update; then W_INIT=openrc
	else W_INIT=rc.local; fi
}

# Whether interface $1 is started at boot.
w_boot() {
	case $W_INIT in
	systemd) for w_f in /etc/systemd/system/*.wants/wg-quick@"$1".service; do [ ! -L "$w_f" ] || return 0; done; return 1 ;;
	openrc) for w_f in /etc/runlevels/*/wg-quick."$1"; do [ ! -L "$w_f" ] || return 0; done; return 1 ;;
	*) [ -f /etc/rc.local ] && [ -x /etc/rc.local ] && grep -q "wg-quick up $1 # wg-friend\$" /etc/rc.local ;;
	esac
}

# The loop beside interface $2 that follows the names of its peers (resolve.sh, $1 is `resolve`) or watches its links
# (fallback.sh, `fallback`): sets w_p, its process, and w_v, its version.
w_loop() {
	[ -r "$RUN/$1-$2" ] && read -r w_p w_v < "$RUN/$1-$2" && [ -n "$w_v" ] &&
		{ tr '\0' ' ' < "/proc/$w_p/cmdline" | grep -qF "wgf-$1-$2.sh"; } 2>/dev/null # busybox's grep ends at a NUL
}

# Everything of ours that stands still: what a deploy can change, and what a person could.
w_still() {
	for w_i in $W_IFACES; do
		[ -d "/sys/class/net/$w_i" ] || continue
		read -r w_mtu < "/sys/class/net/$w_i/mtu"
		read -r w_flags < "/sys/class/net/$w_i/flags"
		w_section link "$w_i" "$w_mtu" "$((w_flags & 1))"
		# An interface that was taken down and brought up again has another index and may have another link-local address.
		w_section address "$w_i"; ip -o addr show dev "$w_i" 2>/dev/null | sed 's/^[0-9]*: //; /inet6 fe80:/d'
		w_section route4 "$w_i"; ip -4 route show table all dev "$w_i" 2>/dev/null
		w_section route6 "$w_i"; ip -6 route show table all dev "$w_i" 2>/dev/null | sed '/^local fe80:/d; /^anycast fe80:/d'
	done
	w_section rule4; ip -4 rule show 2>/dev/null
	w_section rule6; ip -6 rule show 2>/dev/null
	for w_s in $W_SYSCTLS; do
		[ -r "/proc/sys/$w_s" ] || continue
		read -r w_v < "/proc/sys/$w_s"
		w_section sysctl "$w_s" "$w_v"
	done
	for w_t in $W_TABLES; do
		w_v=$(nft -s list table inet "$w_t" 2>/dev/null) || continue
		w_section table "$w_t"; printf '%s\n' "$w_v"
	done
	for w_f in $W_FILES; do
		[ -f "/etc/wireguard/$w_f" ] || continue
		w_section file "$w_f" "$(stat -c '%a %u:%g' "/etc/wireguard/$w_f" 2>/dev/null)"; cat "/etc/wireguard/$w_f"
	done
	for w_f in $W_KEYS; do # whose it is, who may read it, and the public half of the key in it: the key itself stays here
		[ -f "/etc/wireguard/$w_f" ] || continue
		w_v=$(wg pubkey < "/etc/wireguard/$w_f" 2>/dev/null)
		w_section key "$w_f" "$(stat -L -c '%a %u:%g' "/etc/wireguard/$w_f" 2>/dev/null)" "${w_v:--}"
	done
	for w_i in $W_IFACES; do
		if w_loop resolve "$w_i"; then w_section resolver "$w_i" "$w_v"; fi
		if w_loop fallback "$w_i"; then w_section watcher "$w_i" "$w_v"; fi
		if w_loop handover "$w_i"; then w_section successor "$w_i" "$w_v"; fi
		if w_loop moving "$w_i"; then w_section mover "$w_i" "$w_v"; fi
		if w_boot "$w_i"; then w_section boot "$w_i"; fi
	done
	w_section still-end
}

# The digest of a state: $1 from w_still, $2 from `wg show all dump` without what moves by itself
# (handshakes, counters, roaming endpoints).
w_digest() {
	w_sum=$(
		{
			printf '%s\n' "$1"
			printf '%s\n' "$2" | awk -F '\t' 'NF == 5 { print } NF == 9 { print $1, $2, $3, $5, $9 }' | sort
		} | sha256sum
	)
	w_sum=${w_sum%% *}
}

w_fingerprint() {
	w_digest "$(w_still)" "$(wg show all dump 2>/dev/null)"
	printf '%s\n' "$w_sum"
}
