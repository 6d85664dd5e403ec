# Locks, stages, validates, arms the watchdog and carries the steps out. Set before this: SECONDS_TO_CONFIRM, OWNER, STEPS,
# and the functions w_stage (writes the files below $D) and w_expect (checks the new files).

w_say_failed() { w_reports; w_section failed "$1"; printf '%s\n' "$2"; w_section end; }

w_give_up() { # nothing was changed yet
	rm -rf "$RUN/done"; mv "$D" "$RUN/done" && rm -rf "$RUN/done"
	w_say_failed "$1" "$2"
}

# Takes the lock. A deploy whose time is over and whose watchdog is gone is cleared away first.
w_lock() {
	mkdir -p "$RUN" && chmod 700 "$RUN" || { w_say_failed lock "$RUN can't be made"; return 1; }
	if mkdir "$D" 2>/dev/null; then return 0; fi
	[ -d "$D" ] || { w_say_failed lock "$D can't be made"; return 1; }
	[ -r "$D/until" ] || sleep 1
	w_until=0; w_owner=somebody
	[ ! -r "$D/until" ] || read -r w_until < "$D/until"
	[ ! -r "$D/owner" ] || read -r w_owner < "$D/owner"
	w_uptime
	if [ "$w_up" -lt "$((w_until + 15))" ]; then
		w_section busy "$((w_until - w_up))"; printf '%s\n' "$w_owner"; w_section end
		return 1
	fi
	if [ -r "$D/deploy.sh" ]; then rm -rf "$D/decided"; W_ROLE=undo W_WHY="its watchdog had died" sh "$D/deploy.sh" >/dev/null 2>&1; fi
	rm -rf "$D"
	mkdir "$D" 2>/dev/null || { w_say_failed lock "$D can't be made"; return 1; }
}

# The new file of interface $1 is one that wg-quick reads and that still holds the key (public half $2), the port $3
# (- for none) and $4 peers: nothing else is ever given to the kernel.
w_check() {
	w_s=$D/strip/$1
	wg-quick strip "$D/new/$1.conf" > "$w_s" || { echo "wg-quick does not take the new $1.conf"; return 1; }
	# As wg reads it: without comments and blanks, in any case.
	sed -e 's/#.*//' -e 's/[[:space:]]//g' "$w_s" > "$w_s.plain"
	if [ "$2" != - ]; then
		sed -n 's/^[Pp][Rr][Ii][Vv][Aa][Tt][Ee][Kk][Ee][Yy]=//p' "$w_s.plain" | tail -n 1 > "$w_s.key"
		[ "$(wg pubkey < "$w_s.key" 2>/dev/null)" = "$2" ] || { echo "the new $1.conf does not hold the key of $2"; return 1; }
	fi
	[ "$3" = - ] || grep -iq "^ListenPort=$3\$" "$w_s.plain" || { echo "the new $1.conf does not hold port $3"; return 1; }
	w_v=$(grep -ic '^\[peer\]' "$w_s.plain")
	[ "$w_v" = "$4" ] || { echo "the new $1.conf holds $w_v peers instead of $4"; return 1; }
}
# File $1 holds the key whose public half is $2, or interface $3 runs with it: this host made it, and nobody else has it.
w_check_key() {
	[ "$(wg pubkey < "/etc/wireguard/$1" 2>/dev/null)" = "$2" ] || [ "$(wg show "$3" public-key 2>/dev/null)" = "$2" ] ||
		{ echo "/etc/wireguard/$1 does not hold the private key of $2, which this host had made: \`wg-friend rotate\` makes another"; return 1; }
}
w_check_nft() { nft -c -f "$D/new/$1" || { echo "nft does not take the new $1"; return 1; }; }

# What undoing needs.
w_save_live() { wg showconf "$1" > "$D/old/$1.live"; }
w_save_key() { wg show "$1" private-key > "$D/old/$1.key"; }
w_save_key_file() { [ ! -f "/etc/wireguard/$1" ] || cp -pP "/etc/wireguard/$1" "$D/old/$1"; }
w_save_ra() {
	for w_f in /proc/sys/net/ipv6/conf/*/accept_ra; do
		if [ "$(cat "$w_f")" = 1 ]; then echo "$w_f"; fi # not `read`: dash takes the value and fails even so
	done > "$D/old/accept_ra"
	:
}
w_save_table() { nft list table inet "$1" > "$D/old/$1.nft" 2>/dev/null || rm -f "$D/old/$1.nft"; }

w_arm() {
	if [ "$W_INIT" = systemd ] && w_have systemd-run; then
		systemd-run --quiet --collect --unit="wg-friend-watchdog-$TOKEN" --property=KillMode=process \
			--setenv=W_ROLE=watch /bin/sh "$D/deploy.sh" >/dev/null 2>&1
	elif w_have setsid; then
		W_ROLE=watch setsid sh "$D/deploy.sh" </dev/null >/dev/null 2>&1 &
	else
		(trap '' HUP INT TERM; W_ROLE=watch sh "$D/deploy.sh") </dev/null >/dev/null 2>&1 &
	fi
	w_n=0
	while [ ! -e "$D/watching" ]; do
		w_n=$((w_n + 1))
		[ $w_n -le 100 ] || return 1
		sleep 0.05 2>/dev/null || sleep 1
	done
}

w_main() {
	w_lock || return 0
	w_uptime
	echo "$((w_up + SECONDS_TO_CONFIRM))" > "$D/until"; printf '%s\n' "$OWNER" > "$D/owner"; echo "$TOKEN" > "$D/token" ||
		{ w_give_up stage "no room in $RUN"; return 0; }
	w_init
	w_now=$(w_fingerprint)
	if [ "$w_now" != "$BEFORE" ]; then
		rm -rf "$RUN/done"; mv "$D" "$RUN/done" && rm -rf "$RUN/done"
		w_section changed "$w_now"; w_section end
		return 0
	fi
	w_begin
	mkdir "$D/new" "$D/old" "$D/strip" "$D/peers" && w_stage 2>"$D/error" ||
		{ w_did stage no; w_give_up stage "the files could not be written to $RUN: $(cat "$D/error" 2>/dev/null)"; return 0; }
	w_did stage yes
	W_ROLE=; . "$D/deploy.sh"
	w_before > "$D/old/before"
	w_begin
	w_why=$(w_expect 2>&1) || { w_did validate no; w_give_up validate "$w_why"; return 0; }
	w_did validate yes
	w_begin
	w_why=$(w_reserve 2>&1) ||
		{ w_unreserve; w_did reserve no; w_give_up reserve "the new files don't fit on the disk: $w_why"; return 0; }
	w_unreserve
	w_did reserve yes
	w_begin
	w_arm || { w_did arm no; w_give_up arm "the watchdog did not start: without it nothing is changed"; return 0; }
	w_did arm yes
	w_k=1
	while [ "$w_k" -le "$STEPS" ]; do
		if [ -d "$D/decided" ]; then w_reports; w_section failed step "$w_k"; echo "the watchdog was faster"; w_section end; return 0; fi
		echo "$w_k" > "$D/at.new" && mv -f "$D/at.new" "$D/at"
		w_begin
		if ! w_do "$w_k" > "$D/out" 2>&1; then
			w_why=$(cat "$D/out")
			w_bad=$w_k
			w_did "$w_bad" no "$w_why"
			w_undo_all "step $w_k failed"
			w_reports; w_section failed step "$w_bad" "${w_clean:-no}"; printf '%s\n' "$w_why"; w_section end
			return 0
		fi
		w_did "$w_k" yes "$(tail -n 40 "$D/out" 2>/dev/null)"
		w_k=$((w_k + 1))
	done
	w_reports
	w_section applied
	w_section dump; wg show all dump 2>/dev/null
	for w_f in "$D"/shook-*; do
		if [ -r "$w_f" ]; then w_section shook "${w_f##*/shook-}"; cat "$w_f"; fi
	done
	w_section end
}
