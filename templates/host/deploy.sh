# The part of a deploy that outlives its SSH connection; kept in memory-backed /run for as long as the deploy lasts.
# Set before this: TOKEN, BEFORE (the fingerprint to come back to), W_NEW (files to keep), W_OLD (files to remove),
# W_ENABLE and W_DISABLE (interfaces at boot), and the functions w_do and w_undo, one numbered case per step.

WG_ENDPOINT_RESOLUTION_RETRIES=2 # a name that doesn't resolve is an error now, not a wait without end
export WG_ENDPOINT_RESOLUTION_RETRIES

w_is_up() { [ -d "/sys/class/net/$1" ]; }

# Brings interface $1 up from directory $2. Under systemd the unit is what comes up, told by a drop-in below /run where
# its file is: so it is stopped, restarted and seen as any other, and a reboot forgets the drop-in.
w_up_from() {
	w_conf=$2/$1.conf
	if [ "$2" != /etc/wireguard ]; then # the hooks have to find the new files before they are in their place
		mkdir -p "$D/up"
		sed "s#/etc/wireguard/wgf-#$2/wgf-#g" "$w_conf" > "$D/up/$1.conf" || return 1
		w_conf=$D/up/$1.conf
	fi
	if [ "$W_INIT" = systemd ]; then
		w_drop=/run/systemd/system/wg-quick@$1.service.d
		rm -rf "$w_drop"
		if [ "$2" != /etc/wireguard ]; then
			mkdir -p "$w_drop"
			{
				echo '[Service]'; echo 'Environment=WG_ENDPOINT_RESOLUTION_RETRIES=2'
				echo 'ExecStart='; echo "ExecStart=$(command -v wg-quick) up $w_conf"
				echo 'ExecStop='; echo "ExecStop=$(command -v wg-quick) down $w_conf"
			} > "$w_drop/50-wg-friend.conf"
			chmod -R go+rX /run/systemd/system/wg-quick@"$1".service.d
		fi
		# Somebody who took the interface away by hand left a unit that counts as started: starting it would do nothing.
		if systemctl is-active -q "wg-quick@$1" && ! w_is_up "$1"; then systemctl stop "wg-quick@$1"; fi
		systemctl daemon-reload && systemctl reset-failed "wg-quick@$1" 2>/dev/null
		systemctl start "wg-quick@$1" || { systemctl status --no-pager -n 20 "wg-quick@$1" >&2; return 1; }
	else
		wg-quick up "$w_conf"
	fi
}

# Takes interface $1 down, the way it came up.
w_down() {
	if [ "$W_INIT" = systemd ] && systemctl is-active -q "wg-quick@$1"; then
		systemctl stop "wg-quick@$1"
	elif w_is_up "$1"; then
		w_conf=$1
		[ ! -r "$D/up/$1.conf" ] || w_conf=$D/up/$1.conf
		wg-quick down "$w_conf" || ip link del dev "$1"
	fi
	w_n=0 # a userspace WireGuard ends a moment after its socket is gone, on a busy machine some seconds
	while w_is_up "$1" && [ $w_n -lt 100 ]; do w_n=$((w_n + 1)); sleep 0.1 2>/dev/null || sleep 1; done
	if w_is_up "$1"; then return 1; fi
	rm -rf "$D/up/$1.conf" "/run/systemd/system/wg-quick@$1.service.d"
	[ "$W_INIT" != systemd ] || systemctl daemon-reload
}

# A keepalive that is switched on is sent right away, and where there is no session it is a handshake. Prepares that for the peers
# of interface $1 of which it knows where they are: switches theirs off. Then `w_first` has the words for wg(8) that switch on the
# first 200 of them, as many as a command line holds, and `w_lines` the others, and all of them as they were when this deploy did so
# first: what was ended in between leaves them as it had them.
w_keepalives() {
	[ -e "$D/alive-$1" ] || wg show "$1" persistent-keepalive > "$D/alive-$1"
	w_lines=$({ wg show "$1" endpoints; echo .; cat "$D/alive-$1"; } | awk '
		function lines() {
			printf("off%s\n%s%s\nback%s\n", off, (n > 200 ? "on" : "first"), on, back)
			off = on = back = ""
		}
		$1 == "." { known = 1; next }
		!known { if ($2 != "(none)") there[$1] = 1; next }
		$1 in there {
			peer = " peer " $1 " persistent-keepalive "
			off = off peer 0; on = on peer 1; back = back peer ($2 == "off" ? 0 : $2)
			if (++n % 200 == 0) lines()
		}
		END { if (n % 200) lines() }')
	w_first=$(printf '%s\n' "$w_lines" | sed -n 's/^first //p')
	w_set "$1" off
}
# Does what the lines of `w_lines` say that begin with $2.
w_set() {
	printf '%s\n' "$w_lines" | sed -n "s/^$2 //p" | while read -r w_words; do
		# shellcheck disable=SC2086 # words without blanks
		wg set "$1" $w_words
	done || :
}

# Has interface $1 shake hands with its peers at once: under another key it is a stranger to them until then.
w_greet() {
	w_keepalives "$1"
	# shellcheck disable=SC2086 # words without blanks
	[ -z "$w_first" ] || wg set "$1" $w_first || :
	w_set "$1" on
	w_set "$1" back
}

# Notes the last handshakes of interface $1, which is about to get another key: only a later one proves that peers know it. They
# are told by the second, so the last one has to be a second old.
w_note_shakes() {
	w_n=0
	while wg show "$1" latest-handshakes > "$D/shook-$1" && [ $w_n -lt 20 ]; do
		w_v=$(awk '$2 > last { last = $2 } END { print last + 0 }' "$D/shook-$1")
		[ "$(date +%s)" -le "$w_v" ] || break
		w_n=$((w_n + 1))
		sleep 0.1 2>/dev/null || sleep 1
	done
}

# Gives interface $1 the key in file $2, with it port $3 if there is one, and has it shake hands in the same moment. If that is
# the port of interface $4, that one leaves it, and what the loop $5 has led there is led here just before: what is sent until
# the handshake waits for it.
w_take_key() {
	[ -e "$D/shook-$1" ] || w_note_shakes "$1"
	w_keepalives "$1"
	w_taken=yes
	# Whoever was stopped until the watchdog had taken all of it back does no more.
	if [ ! -d "$D" ] || [ -d "$D/decided" ]; then w_set "$1" back; return 1; fi
	[ ! -r "${5-}" ] || sh "$5" back
	# shellcheck disable=SC2086 # words without blanks
	{ [ -z "${4-}" ] || wg set "$4" listen-port 0; } &&
		wg set "$1" ${3:+listen-port "$3"} private-key "$2" $w_first || w_taken=no
	w_set "$1" on
	w_set "$1" back
	[ $w_taken = yes ]
}

# Brings interface $1 back, which listened at port $2. If it has left that, its peers have had a word with another one by now and
# don't answer its sessions, so it begins new ones. What ran may differ from its file: it comes back as it ran.
w_come_back() {
	if ! w_is_up "$1"; then
		w_up_from "$1" /etc/wireguard && wg syncconf "$1" "$D/old/$1.live"
	elif [ "$(wg show "$1" listen-port)" != "$2" ]; then
		wg set "$1" private-key /dev/null
		wg syncconf "$1" "$D/old/$1.live"
	fi && wg set "$1" listen-port "$2"
}

# Removes address $1 from interface $2. With the first IPv4 address of a subnet the kernel removes the others of that
# subnet and the interface's routes, unless it is told to promote them.
w_drop_address() {
	w_promote=/proc/sys/net/ipv4/conf/$2/promote_secondaries
	w_v=
	[ ! -w "$w_promote" ] || { read -r w_v < "$w_promote"; echo 1 > "$w_promote"; }
	ip addr del "$1" dev "$2"
	w_dropped=$?
	[ -z "$w_v" ] || echo "$w_v" > "$w_promote"
	return $w_dropped
}

# Tells the resolver of this host the lines that follow about interface $1, and without any no more about it, as wg-quick(8)
# does it: also by the name that Debian's resolvconf wants.
w_dns() {
	w_v=
	[ ! -f /etc/resolvconf/interface-order ] ||
		w_v=$(sed -n 's/^\([A-Za-z0-9-]\{1,\}\)\*$/\1./p' /etc/resolvconf/interface-order | head -n 1)
	w_v=$w_v$1
	shift
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@" | resolvconf -a "$w_v" -m 0 -x
	else
		# Where there is no resolvconf any more, it says nothing any more.
		! command -v resolvconf >/dev/null || resolvconf -d "$w_v" -f
	fi
}

# Puts the key whose public half is $2 into file $1, which may hold it already; else interface $3 runs with it.
w_put_key() {
	w_f=/etc/wireguard/$1
	w_new=/etc/wireguard/.$1.wg-friend
	rm -f "$w_new"
	if [ "$(wg pubkey < "$w_f" 2>/dev/null)" = "$2" ]; then cat "$w_f"; else wg show "$3" private-key; fi > "$w_new" &&
		[ "$(wg pubkey < "$w_new")" = "$2" ] && chown 0:0 "$w_new" && chmod 600 "$w_new" &&
		{ sync "$w_new" 2>/dev/null || sync; } && mv -f "$w_new" "$w_f" || { rm -f "$w_new"; return 1; }
}
w_return_key() {
	rm -f "/etc/wireguard/$1"
	if [ -e "$D/old/$1" ] || [ -L "$D/old/$1" ]; then cp -pP "$D/old/$1" "/etc/wireguard/$1"; fi
}

# Takes away table $1, if its interface's own hooks have left it.
w_no_table() {
	w_have nft || return 0
	! nft list table inet "$1" >/dev/null 2>&1 || nft delete table inet "$1"
}

# The sets, maps and chains of a table on stdin, one a line with what can't be changed in place, without what is in them.
w_frame() {
	awk '
		$1 ~ /^(set|map|chain)$/ && $3 == "{" { name = $1 " " $2; frame[name] = "" }
		name != "" && $1 ~ /^(type|flags)$/ { $1 = $1; frame[name] = frame[name] " " $0 }
		END { for (name in frame) print name frame[name] }' | sort
}

# Lines of frame $1 as commands: verb $2 for each set, map and chain of table $3 that $4 names by what it is in frame $5:
# `same`, `other`, `gone`.
w_each() {
	printf '%s\n' "$1" | W_OTHER=$5 awk -v verb="$2" -v table="$3" -v pick="$4" '
		BEGIN {
			count = split(ENVIRON["W_OTHER"], lines, "\n")
			for (i = 1; i <= count; i++) { split(lines[i], word, " "); known[word[1] " " word[2]] = lines[i] }
		}
		NF > 1 {
			found = known[$1 " " $2]
			is = found == "" ? "gone" : found == $0 ? "same" : "other"
			if (index(pick, is) && !(verb == "flush" && $1 == "chain")) print ($1 == "chain"), verb, $1, "inet", table, $2
		}' | sort | cut -d ' ' -f 2- # sets and maps before the chains that maps refer to
}

# Puts the table in file $1 into the place of table $2 in one step and without a packet lost. While the kernel exchanges a
# deleted table for a new one it drops a packet now and then (8 in 100 times, at a thousand a second). So the table stays:
# all of it is emptied and filled again, and what the new one lacks goes. Measured over 1100 times, that drops none.
w_load_table() {
	w_old=$(nft list table inet "$2" 2>/dev/null | w_frame)
	w_new=$(w_frame < "$1")
	{
		if [ -n "$w_old" ]; then
			printf 'flush table inet %s\n' "$2"
			w_each "$w_old" flush "$2" same "$w_new"
			w_each "$w_old" delete "$2" 'other gone' "$w_new"
		else
			printf 'table inet %s\ndelete table inet %s\n' "$2" "$2"
		fi
		sed "/^table inet $2\$/d; /^delete table inet $2\$/d" "$1"
	} | nft -f -
}

# Lets the interfaces that listened to router advertisements go on listening while the host forwards, and back.
w_keep_ra() { while read -r w_f; do echo 2 > "$w_f"; done < "$D/old/accept_ra"; }
w_return_ra() { while read -r w_f; do [ ! -e "$w_f" ] || echo 1 > "$w_f"; done < "$D/old/accept_ra"; }

w_restore_table() {
	if [ -s "$D/old/$1.nft" ]; then
		w_load_table "$D/old/$1.nft" "$1" || return 1
		# What had gone came back as the last: for the table to be as before, it has to be exchanged after all.
		nft list table inet "$1" | cmp -s - "$D/old/$1.nft" ||
			{ printf 'delete table inet %s\n' "$1"; cat "$D/old/$1.nft"; } | nft -f -
	else
		nft delete table inet "$1"
	fi
}

# Ends loop $1 of interface $2, whatever became of its file.
w_end_loop() {
	w_n=0
	while w_loop "$1" "$2"; do
		if [ $w_n = 30 ]; then kill -9 "$w_p"; else kill "$w_p"; fi 2>/dev/null
		w_n=$((w_n + 1))
		[ $w_n -lt 60 ] || return 1
		sleep 0.1 2>/dev/null || sleep 1
	done
	rm -f "$RUN/$1-$2"
	[ "$1" != fallback ] || rm -f "$RUN/moved-$2"
}

w_remember() { # token, outcome, clean or not, time, reason
	printf '%s\n' "$TOKEN $1 $2 $(date +%s) $3" > "$RUN/last.new" && mv -f "$RUN/last.new" "$RUN/last"
}

w_clear() { # the lock goes last, in one move
	for w_f in $W_NEW; do rm -f "/etc/wireguard/.$w_f.wg-friend"; done
	rm -rf "$RUN/done"; mv "$D" "$RUN/done" && rm -rf "$RUN/done"
}

# Takes back every step that was begun, the last one first, until the host is as it was before.
w_undo_all() {
	mkdir "$D/decided" 2>/dev/null || return 1
	echo undo > "$D/decided/by"
	w_take_back "$1"
}

w_take_back() {
	w_at=0
	[ ! -r "$D/at" ] || read -r w_at < "$D/at"
	w_try=0; w_clean=no
	while :; do
		w_k=$w_at
		while [ "$w_k" -gt 0 ]; do w_undo "$w_k" >/dev/null 2>&1; w_k=$((w_k - 1)); done
		if [ "$(w_fingerprint)" = "$BEFORE" ]; then w_clean=yes; break; fi
		w_try=$((w_try + 1))
		[ $w_try -lt 4 ] || break
		sleep 1
	done
	w_remember undone $w_clean "$1"
	w_clear
}

# What `host uninstall` has to find again: kernel settings, and what a deploy makes beside its files. One thing a line.
# (dash reads byte by byte, which the kernel answers with an end after the first: so it is cat that reads settings.)
w_before() {
	for w_s in $W_SYSCTLS; do
		[ ! -r "/proc/sys/$w_s" ] || echo "sysctl $w_s $(cat "/proc/sys/$w_s")"
	done
	for w_f in /proc/sys/net/ipv6/conf/*/accept_ra; do
		if [ -r "$w_f" ] && [ "$(cat "$w_f")" = 1 ]; then echo "accept_ra $w_f 1"; fi
	done
	if [ -d /etc/wireguard ]; then echo "directory /etc/wireguard $(stat -c %a /etc/wireguard)"; else echo "directory /etc/wireguard none"; fi
	if [ -e /etc/rc.local ]; then echo "rc.local /etc/rc.local $(stat -c %a /etc/rc.local)"; else echo "rc.local /etc/rc.local none"; fi
}
# Keeps that for good, each thing as it was before it was first changed.
w_keep_before() {
	[ -r "$D/old/before" ] || return 0
	while read -r w_k w_n w_v; do
		grep -qsF "$w_k $w_n " /var/lib/wg-friend/before || printf '%s %s %s\n' "$w_k" "$w_n" "$w_v" >> /var/lib/wg-friend/before
	done < "$D/old/before"
}

# Writes the new files beside the old ones. Fails without a trace when the disk is full.
w_reserve() {
	[ -d /etc/wireguard ] || { mkdir -p -m 700 /etc/wireguard && : > "$D/made"; } || return 1
	[ -d /var/lib/wg-friend ] || mkdir -p -m 700 /var/lib/wg-friend || return 1
	for w_f in $W_NEW; do
		w_p=/etc/wireguard/.$w_f.wg-friend
		cat "$D/new/$w_f" > "$w_p" && cmp -s "$D/new/$w_f" "$w_p" && chmod 600 "$w_p" || { w_unreserve; return 1; }
		sync "$w_p" 2>/dev/null || sync
	done
	echo "token $TOKEN" > /var/lib/wg-friend/deployed.new || { w_unreserve; return 1; }
}
w_unreserve() {
	for w_f in $W_NEW; do rm -f "/etc/wireguard/.$w_f.wg-friend"; done
	rm -f /var/lib/wg-friend/deployed.new
	rmdir /var/lib/wg-friend 2>/dev/null || :
	[ ! -e "$D/made" ] || rmdir /etc/wireguard 2>/dev/null || :
	sync /etc/wireguard /var/lib 2>/dev/null || sync # or a power cut brings them back
}

# Makes what runs last. May run again after it was interrupted. The firewall's files sort before the interfaces', and
# new rules over old peers are safe: so whatever moment a power cut picks, what boots is consistent.
w_finish() {
	w_keep_before
	chmod 700 /etc/wireguard
	for w_f in $W_NEW; do
		[ ! -e "/etc/wireguard/.$w_f.wg-friend" ] || mv -f "/etc/wireguard/.$w_f.wg-friend" "/etc/wireguard/$w_f"
	done
	for w_f in $W_OLD; do rm -f "/etc/wireguard/$w_f"; done
	for w_i in $W_ENABLE; do w_enable "$w_i"; done
	for w_i in $W_DISABLE; do w_disable "$w_i"; done
	w_reload=no
	for w_i in $W_ENABLE; do
		[ ! -d "/run/systemd/system/wg-quick@$w_i.service.d" ] || { rm -rf "/run/systemd/system/wg-quick@$w_i.service.d"; w_reload=yes; }
	done
	[ $w_reload = no ] || systemctl daemon-reload
	[ ! -e /var/lib/wg-friend/deployed.new ] || mv -f /var/lib/wg-friend/deployed.new /var/lib/wg-friend/deployed
	sync /etc/wireguard 2>/dev/null || sync
	w_remember confirmed yes -
	w_clear
}

w_enable() {
	! w_boot "$1" || return 0
	case $W_INIT in
	systemd) systemctl enable -q "wg-quick@$1" ;;
	openrc) [ -e "/etc/init.d/wg-quick.$1" ] || ln -s wg-quick "/etc/init.d/wg-quick.$1"; rc-update -q add "wg-quick.$1" default ;;
	*) w_rc_local "$1" "$(command -v wg-quick) up $1 # wg-friend" ;;
	esac
}
w_disable() {
	w_boot "$1" || return 0
	case $W_INIT in
	systemd) systemctl disable -q "wg-quick@$1" ;;
	openrc) rc-update -q del "wg-quick.$1" default; rm -f "/etc/init.d/wg-quick.$1" ;;
	*) w_rc_local "$1" "" ;;
	esac
}
# Puts line $2 for interface $1 into /etc/rc.local, before a closing `exit 0`; an empty line takes it out.
w_rc_local() {
	[ -f /etc/rc.local ] || printf '#!/bin/sh\n' > /etc/rc.local || return 1
	awk -v name="$1" -v line="$2" '
		index($0, "wg-quick up " name " # wg-friend") { next }
		/^exit 0/ && line != "" { print line; line = "" }
		{ print }
		END { if (line != "") print line }' /etc/rc.local > /etc/.rc.local.wg-friend || { rm -f /etc/.rc.local.wg-friend; return 1; }
	chmod 755 /etc/.rc.local.wg-friend && mv -f /etc/.rc.local.wg-friend /etc/rc.local
}

# Waits for the decision; when none has come in time, takes it.
w_watch() {
	: > "$D/watching"
	read -r w_until < "$D/until"
	while :; do
		read -r w_t 2>/dev/null < "$D/token" || exit 0
		[ "$w_t" = "$TOKEN" ] || exit 0
		w_uptime
		[ "$w_up" -lt "$w_until" ] || break
		sleep 1
	done
	w_undo_all "nobody confirmed in time" && exit 0
	sleep 5 # somebody else decided; if that one died half-way, finish in its place
	read -r w_t 2>/dev/null < "$D/token" || exit 0
	[ "$w_t" = "$TOKEN" ] || exit 0
	read -r w_by < "$D/decided/by" || w_by=undo
	if [ "$w_by" = commit ]; then w_finish; else w_take_back "nobody confirmed in time"; fi
}

w_init
case ${W_ROLE:-} in
watch) w_watch ;;
undo) w_undo_all "${W_WHY:-taken back}" ;;
esac
