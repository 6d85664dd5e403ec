# Runs beside the interface and watches the direct links whose traffic goes another way while they are down.
#
# A link is down when it has not shaken hands for so many seconds as its line above says: longer than any living one takes.
# Then what goes to its peer goes to the other peer in its line, which carried it if there were no such link. The peer itself
# keeps no AllowedIPs and is dialled on, by its keepalive; when it has shaken hands once more, it has them back. The other end
# does the same, for handshakes are seen by both. Only the peers listed above are ever touched, and of them only the
# AllowedIPs. While a deploy is at work here, nothing is done.
ABOUT="links of $IFACE that are down"
EVERY=${WGF_EVERY:-10}
STALE=${WGF_STALE:-}
MOVED=$RUN/moved-$IFACE # a line for each link that is down: key, since when, its last handshake, both in seconds since 1970

uptime() { read -r up rest < /proc/uptime; up=${up%.*}; }

# For how long the peer `key` has had no handshake but `shook`, in `age`. Counted since boot, from the look that found it
# first: clocks are set.
count_from() {
	case $known in
	*" $key=$shook@"*) at=${known#*" $key=$shook@"}; at=${at%% *} ;;
	*)
		at=$up
		if [ -z "$known" ] && [ "$shook" != 0 ] && [ "$now" -gt "$shook" ]; then at=$((up - now + shook)); fi
		;;
	esac
	next="$next $key=$shook@$at "
	age=$((up - at))
}

# Sets `was`, the last handshake of the peer `key` when its traffic was moved away; fails when nobody knows.
moved_at() { was=$(sed -n "s|^$key [0-9]* ||p" "$MOVED" 2>/dev/null); [ -n "$was" ]; }

# Takes what is known of the peer `key` out of the list of what moved, and puts $1 in.
note() {
	{ grep -vF "$key " "$MOVED" 2>/dev/null; [ -z "$1" ] || printf '%s\n' "$1"; } > "$MOVED.$$" && mv -f "$MOVED.$$" "$MOVED"
}

# What AllowedIPs another peer takes it loses by itself, so each of these is one step.
move() {
	list=$(printf '%s' "$others" | tr ' ' ','),
	[ "$others" != "(none)" ] || list=
	note "$key $now $shook"
	if wg set "$IFACE" peer "$by" allowed-ips "$list$prefixes" peer "$key" allowed-ips "" 2>/dev/null; then
		say "the link to $who is down: what goes there goes over $over"
	fi
}
back() {
	if wg set "$IFACE" peer "$key" allowed-ips "$prefixes" 2>/dev/null; then
		note ""
		say "the link to $who is up: what goes there goes directly"
	fi
}

look() {
	nap=1 # both ends come back within a second
	[ ! -e "$RUN/deploy" ] || return 0
	now=$(date +%s)
	uptime
	shakes=$(wg show "$IFACE" latest-handshakes 2>/dev/null) || return 0
	next=" "
	away=no
	for link in $LINKS; do
		key=${link%%,*}; link=${link#*,}
		by=${link%%,*}; link=${link#*,}
		limit=${STALE:-${link%%,*}}; link=${link#*,}
		who=${link%%,*}; link=${link#*,}
		over=${link%%,*}; prefixes=${link#*,}
		value_of "$shakes" "$key" || continue
		shook=$value
		count_from
		allowed=$(wg show "$IFACE" allowed-ips 2>/dev/null) || return 0
		value_of "$allowed" "$by" || continue
		others=$value
		value_of "$allowed" "$key" || continue
		if [ "$value" != "(none)" ]; then
			[ "$age" -le "$limit" ] || { move; away=yes; }
		elif moved_at; then
			if [ "$shook" != "$was" ]; then back; else away=yes; fi
		elif [ "$age" -le "$limit" ]; then back
		else note "$key $now $shook"; away=yes
		fi
	done
	known=$next
	[ $away = yes ] || nap=$EVERY
}

first_look() {
	known=
	look
}
forget() { rm -f "$MOVED"; }

case ${1-} in
start | stop | run) "$1" ;;
*) echo "usage: sh $0 start|stop|run" >&2; exit 2 ;;
esac
