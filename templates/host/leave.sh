# Takes everything of wg-friend's off a host. Set before this: what lib.sh needs; W_TAKE (interfaces to take down, with their
# files), W_GIVE (adopted interfaces: the file they had lies in $D/give), STEPS and the function w_do, one numbered case per step.

w_recorded() { sed -n "s|^$1 ||p" "/var/lib/wg-friend/$2" 2>/dev/null; }

# The address at which the SSH connection that this runs in came in, from the first ancestor that knows.
w_came_in() {
	w_pid=$$; w_n=0
	while [ "$w_pid" -gt 1 ] && [ $w_n -lt 8 ]; do
		w_v=$(tr '\0' '\n' < "/proc/$w_pid/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=[^ ]* [^ ]* \([^ ]*\) .*/\1/p')
		[ -z "$w_v" ] || { echo "$w_v"; return; }
		w_pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$w_pid/status" 2>/dev/null)
		[ -n "$w_pid" ] || return
		w_n=$((w_n + 1))
	done
}

# Whether something else than wg-friend needs what is forwarded here.
w_others_forward() {
	for w_o in /sys/class/net/docker0 /sys/class/net/virbr* /sys/class/net/cni* /sys/class/net/lxcbr* /sys/class/net/lxdbr* /sys/class/net/br-*; do
		[ ! -d "$w_o" ] || return 0
	done
	for w_o in $(wg show interfaces 2>/dev/null); do
		case " $W_TAKE " in *" $w_o "*) ;; *) return 0 ;; esac
	done
	return 1
}

# Whether a file of sysctl.d(5) sets $1, a path below /proc/sys.
w_set_by_file() {
	w_o=$(printf '%s' "$1" | sed 's,/,[./],g')
	cat /etc/sysctl.conf /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf 2>/dev/null | grep -q "^[[:space:]]*-\{0,1\}${w_o}[[:space:]]*="
}

w_take_down() { # interface $1 with everything that starts it
	w_down "$1" || return 1
	w_disable "$1"
}

# The files that were named, and what an interrupted deploy may have left beside them.
w_take_files() {
	for w_f in "$@"; do rm -f "/etc/wireguard/$w_f" "/etc/wireguard/.$w_f.wg-friend" || return 1; done
}

# Gives adopted interface $1 the file back that it had; it is restarted only if that differs from the present one.
w_give_back() {
	w_f=/etc/wireguard/$1.conf
	if [ -r "$w_f" ] && cmp -s "$D/give/$1.conf" "$w_f"; then return 0; fi
	wg-quick strip "$D/give/$1.conf" >/dev/null || return 1
	w_was=no
	if w_is_up "$1"; then w_was=yes; w_down "$1" || return 1; fi
	cat "$D/give/$1.conf" > "$w_f.wg-friend" && chmod 600 "$w_f.wg-friend" && mv -f "$w_f.wg-friend" "$w_f" || return 1
	[ $w_was = no ] || w_up_from "$1" /etc/wireguard
}

w_take_tables() {
	for w_t in "$@"; do
		! nft list table inet "$w_t" >/dev/null 2>&1 || nft delete table inet "$w_t" || return 1
	done
}

# Rules by our marks, whose upper half is 0x7766.
w_take_rules() {
	for w_f in -4 -6; do
		ip $w_f rule show 2>/dev/null | sed -n 's/^\([0-9]*\):.*fwmark \(0x7766[0-9a-f]\{4\}\).*lookup \([^ ]*\).*/\1 \2 \3/p' |
			while read -r w_p w_m w_v; do ip $w_f rule del pref "$w_p" fwmark "$w_m" lookup "$w_v"; done
	done
	:
}

# Kernel settings as they were before the first deploy, unless somebody else needs them as they are.
w_return_settings() {
	w_recorded sysctl before | while read -r w_s w_v; do
		[ -w "/proc/sys/$w_s" ] || continue
		w_x=$(cat "/proc/sys/$w_s")
		[ "$w_x" != "$w_v" ] || continue
		if w_set_by_file "$w_s"; then echo "kept $w_s: a file in sysctl.d sets it"; continue; fi
		case $w_s in *forward*) if w_others_forward; then echo "kept $w_s: others forward here"; continue; fi ;; esac
		printf '%s\n' "$w_v" > "/proc/sys/$w_s"
	done
	w_x=$(cat /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null) || w_x=0
	if [ "$w_x" = 0 ]; then
		w_recorded accept_ra before | while read -r w_s w_v; do
			if [ -w "$w_s" ] && [ "$(cat "$w_s")" = 2 ]; then echo "$w_v" > "$w_s"; fi
		done
	fi
	:
}

# The directory and the file that others may use too: as they were.
w_return_places() {
	w_v=$(w_recorded 'directory /etc/wireguard' before)
	case $w_v in
	none) rmdir /etc/wireguard 2>/dev/null || : ;;
	[0-7]*) [ ! -d /etc/wireguard ] || chmod "$w_v" /etc/wireguard ;;
	esac
	w_v=$(w_recorded 'rc.local /etc/rc.local' before)
	case $w_v in
	none) if [ -f /etc/rc.local ] && [ "$(cat /etc/rc.local)" = '#!/bin/sh' ]; then rm -f /etc/rc.local; fi ;;
	[0-7]*) [ ! -f /etc/rc.local ] || chmod "$w_v" /etc/rc.local ;;
	esac
}

# Packages that were installed for wg-friend, as far as nothing else needs them: the managers refuse the others.
w_take_packages() {
	w_family
	w_v=$(w_recorded package installed | tr '\n' ' ')
	[ -n "$w_v" ] || return 0
	unset TMPDIR
	# shellcheck disable=SC2086 # names of packages
	case $W_FAMILY in
	debian) DEBIAN_FRONTEND=noninteractive dpkg --purge $w_v ;;
	alpine) apk del --no-progress $w_v ;;
	fedora | rhel) rpm -e $w_v ;;
	arch) pacman -R --noconfirm $w_v ;;
	*) echo "no package manager is known here"; return 1 ;;
	esac
}

w_take_traces() {
	w_recorded path installed | while read -r w_f; do rm -f "$w_f"; done
	w_v=$D
	rm -rf /var/lib/wg-friend
	for w_f in "$RUN"/*; do [ "$w_f" = "$w_v" ] || rm -rf "$w_f"; done
	for w_f in /run/systemd/system/wg-quick@*.service.d/50-wg-friend.conf; do
		[ ! -e "$w_f" ] || { rm -f "$w_f"; rmdir "${w_f%/*}" 2>/dev/null; systemctl daemon-reload; }
	done
	:
}

# The SSH keys that wg-friend let in. $1: what `installed` said of them, since that is gone by now.
w_take_keys() {
	printf '%s\n' "$1" | while read -r w_k w_f w_v; do
		case $w_k in
		key) w_unauthorize "$w_f" "$w_v" ;;
		made) [ -s "$w_f" ] || rm -f "$w_f" ;;
		esac
	done
}

# Every step; one that fails keeps none of the others.
w_leave_all() {
	w_keys=$(grep -E '^(key|made) ' /var/lib/wg-friend/installed 2>/dev/null)
	w_k=1; w_bad=
	while [ "$w_k" -le "$STEPS" ]; do
		w_begin
		if w_do "$w_k" > "$D/out" 2>&1; then w_did "$w_k" yes "$(tail -n 20 "$D/out")"; else
			w_did "$w_k" no "$(tail -n 20 "$D/out")"; w_bad="$w_bad $w_k"
		fi
		w_k=$((w_k + 1))
	done
}

w_end() { rm -rf "$D"; rmdir "$RUN" 2>/dev/null || :; } # what other interfaces have there stays

w_init
case ${W_ROLE:-} in
alone) sleep 2; w_leave_all; w_end ;;
esac
