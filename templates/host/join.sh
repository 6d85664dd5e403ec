# Joins a machine that nobody can reach yet, run there once by hand. Set before this: W_NODE, W_NETWORK, W_UNTIL (seconds
# since 1970), W_KNOWN (tokens of deploys that came before this script), W_UP (interfaces to bring up, with the public key of
# each: NAME:KEY), W_SSH_KEY (empty for none), W_SSH_USER, W_NEXT (what to do then), and the function w_stage.
w_say() { printf '%s\n' "$*"; }
w_fail() { printf 'wg-friend: %s\n' "$*" >&2; }

# Whether what this script brings is all there.
w_joined() {
	w_t=
	[ ! -r /var/lib/wg-friend/deployed ] || read -r w_v w_t < /var/lib/wg-friend/deployed
	[ "$w_t" = "$TOKEN" ] || return 1
	for w_v in $W_UP; do w_is_up "${w_v%%:*}" || return 1; done
}

# Whether interface $1 is there already and holds another key than $2.
w_taken() {
	if w_is_up "$1" && [ "$(wg show "$1" public-key 2>/dev/null)" != "$2" ]; then return 0; fi
	[ -r "/etc/wireguard/$1.conf" ] || return 1
	w_own=$(sed -n 's/^[[:space:]]*[Pp]rivate[Kk]ey[[:space:]]*=[[:space:]]*//p' "/etc/wireguard/$1.conf" | head -n 1)
	[ "$(printf '%s\n' "$w_own" | wg pubkey 2>/dev/null)" != "$2" ]
}

w_check_new() {
	for w_v in $W_UP; do
		wg-quick strip "$D/new/${w_v%%:*}.conf" >/dev/null || return 1
	done
	for w_v in "$D"/new/*.nft; do
		[ ! -e "$w_v" ] || nft -c -f "$w_v" || return 1
	done
}

w_leave() { rm -rf "$RUN/done"; mv "$D" "$RUN/done" 2>/dev/null && rm -rf "$RUN/done"; }

w_bring() {
	for w_v in $W_UP; do
		w_name=${w_v%%:*}
		if w_is_up "$w_name"; then w_down "$w_name" >/dev/null 2>&1 || return 1; fi
		w_why=$(w_up_from "$w_name" "$D/new" 2>&1) || return 1
	done
}

w_let_in() {
	w_home=$(getent passwd "$W_SSH_USER" 2>/dev/null | cut -d : -f 6)
	[ -n "$w_home" ] || w_home=$(sed -n "s/^$W_SSH_USER:[^:]*:[^:]*:[^:]*:[^:]*:\([^:]*\):.*/\1/p" /etc/passwd)
	[ -n "$w_home" ] || { w_fail "there is no user $W_SSH_USER: the SSH key was added to nobody"; return 1; }
	w_file=$(w_authorized "$w_home")
	w_authorize "$w_file" "$W_SSH_KEY" || { w_fail "$w_file can't be written: the SSH key was not added"; return 1; }
	[ "$W_SSH_USER" = root ] || chown -R "$W_SSH_USER:" "${w_file%/*}" || return 1
	if [ "$W_ADDED" = yes ]; then
		w_keep_in_mind "key $w_file $w_type $w_key"
		[ "$W_MADE" = no ] || w_keep_in_mind "made $w_file"
		w_say "added the SSH key \`${W_SSH_KEY##* }\` for $W_SSH_USER"
	fi
}

w_heard() { # whether any peer has answered within 15 s
	w_n=0
	while [ $w_n -lt 15 ]; do
		for w_v in $W_UP; do
			if wg show "${w_v%%:*}" latest-handshakes 2>/dev/null | awk '$2 > 0 { found = 1 } END { exit !found }'; then return 0; fi
		done
		sleep 1; w_n=$((w_n + 1))
	done
	return 1
}

w_fingerprints() {
	for w_f in /etc/ssh/ssh_host_*_key.pub; do
		[ ! -r "$w_f" ] || ! w_have ssh-keygen || ssh-keygen -lf "$w_f" 2>/dev/null | awk '{ print "  " $NF, $2 }'
	done
}

w_join() {
	if [ "$(id -u)" != 0 ]; then w_fail "this has to be run by root: \`sudo sh FILE\`"; return 1; fi
	if [ "$(date +%s)" -ge "$W_UNTIL" ] && ! w_joined; then
		w_fail "this script has expired: make a new one with \`wg-friend host join $W_NODE\`"; return 1
	fi
	if w_joined; then
		w_say "this machine is $W_NODE of the network $W_NETWORK already; nothing was changed"
		[ -z "$W_SSH_KEY" ] || w_let_in
		return $?
	fi
	case $w_t,$W_KNOWN in ,*) ;; *,*" $w_t "*) ;; *)
		w_fail "wg-friend has changed this machine since this script was made; nothing was done"; return 1 ;;
	esac
	w_prepare
	if [ -n "$W_PACKAGES" ] && { [ "$W_FAMILY" = unknown ] || [ "$W_FAMILY" = image ]; }; then
		w_fail "install these first, this system's own way:$W_MISSING"; return 1
	fi
	if [ -n "$W_COMMANDS" ]; then
		w_say "installing:$W_MISSING"
		w_carry_out || { w_fail "that did not work ($W_WHY):"; printf '%s\n' "$W_SAID" | tail -n 10 >&2; return 1; }
	fi
	for w_v in $W_UP; do
		if w_taken "${w_v%%:*}" "${w_v#*:}"; then
			w_fail "there is another ${w_v%%:*} on this machine, with another key; nothing was changed"; return 1
		fi
	done
	mkdir -p "$RUN" && chmod 700 "$RUN" || return 1
	mkdir "$D" 2>/dev/null || { w_fail "wg-friend is at work on this machine right now ($D)"; return 1; }
	if ! { mkdir "$D/new" "$D/old" && w_stage; } || ! w_why=$(w_check_new 2>&1); then
		w_leave; w_fail "the files can't be used here: $w_why"; return 1
	fi
	w_before > "$D/old/before"
	if ! w_reserve; then w_unreserve; w_leave; w_fail "the files don't fit on the disk"; return 1; fi
	if ! w_bring; then
		for w_v in $W_UP; do w_down "${w_v%%:*}" >/dev/null 2>&1; done
		w_unreserve; w_leave
		w_fail "the interface does not come up; everything was taken back:"; printf '%s\n' "$w_why" >&2
		return 1
	fi
	w_finish
	w_say "this machine is $W_NODE of the network $W_NETWORK now, and will be after each boot"
	[ -z "$W_SSH_KEY" ] || w_let_in
	if w_heard; then w_say "a peer has answered: the tunnel works"; else
		w_say "no peer has answered yet: has the server been told (\`wg-friend deploy\`), and may UDP leave here?"
	fi
	w_say "" "next, where wg-friend is:"
	printf '%s\n' "$W_NEXT"
	if [ -n "$W_SSH_KEY" ]; then w_say "this machine's SSH keys, to compare:"; w_fingerprints; fi
	w_say "and delete this script: it holds this machine's private key"
}
