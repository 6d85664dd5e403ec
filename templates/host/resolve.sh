# Runs beside the interface and looks again where its peers are that are dialled by a name: WireGuard itself looks up a
# name once, when it comes up, and goes on dialling an address that others have by now.
#
# A peer is looked at when it has not shaken hands for STALE seconds (a living one does so every 120), or never has.
# Its name is looked up; when the address in use isn't one of the name's any more, the first one is taken. When it is
# one of several, and packets went out since the last look without an answer, the next one is tried: IPv4 and IPv6, in the
# order in which the host prefers them. A peer that nobody wants to talk to is left in peace. Only the peers listed above
# are ever touched, and of them only the endpoint.
#
# sh THIS start   begins it in the background, in the place of one that runs already
# sh THIS stop    ends it; it also ends when the interface goes away
# sh THIS run     is it
# WGF_RESOLVE_EVERY and WGF_RESOLVE_STALE in the environment of `start`: other seconds than these.
EVERY=${WGF_RESOLVE_EVERY:-30}
STALE=${WGF_RESOLVE_STALE:-135}

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
WG_ENDPOINT_RESOLUTION_RETRIES=1 # a name that doesn't resolve now is asked for again at the next look
export PATH LC_ALL WG_ENDPOINT_RESOLUTION_RETRIES
umask 077
RUN=/run
[ -d /run ] || RUN=/var/run
RUN=$RUN/wg-friend
STATE=$RUN/resolve-$IFACE
NL='
'
TAB=$(printf '\t')

have() { command -v "$1" >/dev/null 2>&1; }
say() { ! have logger || logger -t wg-friend "$IFACE: $*" 2>/dev/null || :; }
pause() { sleep 0.1 2>/dev/null || sleep 1; }
index() { cat "/sys/class/net/$IFACE/ifindex" 2>/dev/null; }

# Whether one runs; sets `pid` and `version`.
running() {
	pid=; version=
	[ -r "$STATE" ] && read -r pid version < "$STATE" && [ -n "$pid" ] &&
		{ tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF "wgf-resolve-$IFACE.sh"; } 2>/dev/null # busybox's grep ends at a NUL
}

stop() {
	tries=0
	while running; do
		tries=$((tries + 1))
		case $tries in
		1) kill "$pid" 2>/dev/null ;;
		30) kill -9 "$pid" 2>/dev/null ;; # it waits for an answer of a name server
		60) return 1 ;;
		esac
		pause
	done
	rm -f "$STATE"
}

start() {
	mkdir -p "$RUN" && chmod 700 "$RUN" && stop || return 1
	if [ -d /run/systemd/system ] && have systemd-run && # apart from the session or the unit that started it
		systemd-run --quiet --collect --no-block --unit="wg-friend-resolve-$IFACE-$$" --description="wg-friend: names of the peers of $IFACE" \
			--setenv=WGF_RESOLVE_EVERY="$EVERY" --setenv=WGF_RESOLVE_STALE="$STALE" /bin/sh "$0" run >/dev/null 2>&1; then :
	elif have setsid; then
		WGF_RESOLVE_EVERY=$EVERY WGF_RESOLVE_STALE=$STALE setsid sh "$0" run </dev/null >/dev/null 2>&1 &
	else
		(trap '' HUP; WGF_RESOLVE_EVERY=$EVERY WGF_RESOLVE_STALE=$STALE exec sh "$0" run) </dev/null >/dev/null 2>&1 &
	fi
	tries=0
	until running && [ "$version" = "$VERSION" ]; do
		tries=$((tries + 1))
		[ $tries -le 100 ] || return 1
		pause
	done
}

# The value of key $2 among the lines $1, in `value`.
value_of() {
	value=$NL$1$NL
	case $value in
	*"$NL$2$TAB"*) value=${value#*"$NL$2$TAB"}; value=${value%%"$NL"*} ;;
	*) value=; return 1 ;;
	esac
}

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
		[ "$1" != count ] || continue
		value_of "$shakes" "$key" || continue
		if [ "$value" != 0 ] && [ $((now - value)) -le "$STALE" ] && [ $((value - now)) -le "$STALE" ]; then continue; fi
		[ -n "$ends" ] || ends=$(wg show "$IFACE" endpoints 2>/dev/null)
		value_of "$ends" "$key" || continue
		at=$value
		follow
	done
}

mine() { read -r pid version < "$STATE" 2>/dev/null && [ "$pid" = $$ ]; }
over() {
	kill "$nap" 2>/dev/null
	! mine || rm -f "$STATE"
	exit 0
}

run() {
	link=$(index) && [ -n "$link" ] || return 1
	nap=
	sent=
	trap over HUP INT TERM
	echo "$$ $VERSION" > "$STATE.$$" && mv -f "$STATE.$$" "$STATE" || return 1
	look count
	while :; do
		sleep "$EVERY" & nap=$!
		wait "$nap"
		mine && [ "$(index)" = "$link" ] || over
		look all
	done
}

case ${1-} in
start | stop | run) "$1" ;;
*) echo "usage: sh $0 start|stop|run" >&2; exit 2 ;;
esac
