# Runs beside the interface and looks again where its peers are that are dialled by a name: WireGuard itself looks up a
# name once, when it comes up, and goes on dialling an address that others have by now.
#
# A peer is looked at when it has not shaken hands for STALE seconds (a living one does so every 120), or never has.
# Its name is looked up; when the address in use isn't one of the name's any more, the first one is taken. When it is
# one of several, and packets went out since the last look without an answer, the next one is tried: IPv4 and IPv6, in the
# order in which the host prefers them. A peer that nobody wants to talk to is left in peace. Only the peers listed above
# are ever touched, and of them only the endpoint.
ABOUT="names of the peers of $IFACE"
EVERY=${WGF_EVERY:-30}
STALE=${WGF_STALE:-135}
WG_ENDPOINT_RESOLUTION_RETRIES=1 # a name that doesn't resolve now is asked for again at the next look
export WG_ENDPOINT_RESOLUTION_RETRIES

addresses() { { getent ahosts "$1" || getent hosts "$1"; } 2>/dev/null | awk '!seen[$1]++ { print $1 }'; }

# Finds the endpoint for the peer `key` at `name` and `port`, which is at `at` now, and dials it there.
follow() {
	first=; next=; found=no
	for address in $(addresses "$name"); do
		case $address in
		*:*) end="[$address]:$port" ;;
		*) end=$address:$port ;;
		esac
		[ -n "$first" ] || first=$end
		[ $found = no ] || [ -n "$next" ] || next=$end
		[ "$end" != "$at" ] || found=yes
	done
	to=$first
	if [ $found = yes ]; then
		[ "$trying" = yes ] || return 0
		to=${next:-$first}
	fi
	[ -n "$to" ] || to=$name:$port # no getent here: wg looks it up itself
	[ "$to" != "$at" ] || return 0
	# `wg set` would make a peer that was taken away meanwhile.
	wg show "$IFACE" peers | grep -qxF -e "$key" || return 0
	if wg set "$IFACE" peer "$key" endpoint "$to" 2>/dev/null && [ "$to" != "$name:$port" ]; then
		say "$who ($name) is dialled at $to, no longer at $at"
	fi
}

look() {
	now=$(date +%s)
	shakes=$(wg show "$IFACE" latest-handshakes 2>/dev/null) || return 0
	counters=$(wg show "$IFACE" transfer 2>/dev/null) || return 0
	sent_before=$sent
	sent=
	ends=
	for peer in $PEERS; do
		key=${peer%%,*}; peer=${peer#*,}
		name=${peer%%,*}; peer=${peer#*,}
		port=${peer%%,*}; who=${peer#*,}
		value_of "$counters" "$key" || continue
		value=${value##*"$TAB"}
		trying=yes
		case $sent_before in *" $key=$value "*) trying=no ;; esac
		sent="$sent $key=$value "
		[ "${1-}" != count ] || continue
		value_of "$shakes" "$key" || continue
		if [ "$value" != 0 ] && [ $((now - value)) -le "$STALE" ] && [ $((value - now)) -le "$STALE" ]; then continue; fi
		[ -n "$ends" ] || ends=$(wg show "$IFACE" endpoints 2>/dev/null)
		value_of "$ends" "$key" || continue
		at=$value
		follow
	done
}

first_look() {
	sent=
	look count
}
forget() { :; }

case ${1-} in
start | stop | run) "$1" ;;
*) echo "usage: sh $0 start|stop|run" >&2; exit 2 ;;
esac
