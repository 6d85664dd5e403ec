# Runs beside the interface and watches the direct links whose traffic goes another way while they are down.
#
# A link is down when it has not shaken hands for so many seconds as its line above says: longer than any living one takes.
# Then what goes to its peer goes to the other peer in its line, which carried it if there were no such link. The peer itself
# keeps no AllowedIPs and is dialled on, by its keepalive; when it has shaken hands once more, it has them back. The other end
# does the same, for handshakes are seen by both. Only the peers listed above are ever touched, and of them only the
# AllowedIPs. While a deploy is at work here, nothing is done.
#
# sh THIS start   begins it in the background, in the place of one that runs already
# sh THIS stop    ends it; it also ends when the interface goes away
# sh THIS run     is it
# WGF_FALLBACK_EVERY and WGF_FALLBACK_STALE in the environment of `start`: other seconds than these, for a trial.
EVERY=${WGF_FALLBACK_EVERY:-10}
STALE=${WGF_FALLBACK_STALE:-}

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
RUN=/run
[ -d /run ] || RUN=/var/run
RUN=$RUN/wg-friend
STATE=$RUN/fallback-$IFACE
MOVED=$RUN/moved-$IFACE # a line for each link that is down: key, since when, its last handshake, both in seconds since 1970
NL='
'
TAB=$(printf '\t')

have() { command -v "$1" >/dev/null 2>&1; }
say() { ! have logger || logger -t wg-friend "$IFACE: $*" 2>/dev/null || :; }
pause() { sleep 0.1 2>/dev/null || sleep 1; }
index() { cat "/sys/class/net/$IFACE/ifindex" 2>/dev/null; }
uptime() { read -r up rest < /proc/uptime; up=${up%.*}; }

# Whether one runs; sets `pid` and `version`.
running() {
	pid=; version=
	[ -r "$STATE" ] && read -r pid version < "$STATE" && [ -n "$pid" ] &&
		{ tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF "wgf-fallback-$IFACE.sh"; } 2>/dev/null # busybox's grep ends at a NUL
}

end() {
	tries=0
	while running; do
		tries=$((tries + 1))
		case $tries in
		1) kill "$pid" 2>/dev/null ;;
		30) kill -9 "$pid" 2>/dev/null ;;
		60) return 1 ;;
		esac
		pause
	done
	rm -f "$STATE"
}

stop() { end && rm -f "$MOVED"; }

start() {
	mkdir -p "$RUN" && chmod 700 "$RUN" && end || return 1
	if [ -d /run/systemd/system ] && have systemd-run && # apart from the session or the unit that started it
		systemd-run --quiet --collect --no-block --unit="wg-friend-fallback-$IFACE-$$" --description="wg-friend: links of $IFACE that are down" \
			--setenv=WGF_FALLBACK_EVERY="$EVERY" --setenv=WGF_FALLBACK_STALE="$STALE" /bin/sh "$0" run >/dev/null 2>&1; then :
	elif have setsid; then
		WGF_FALLBACK_EVERY=$EVERY WGF_FALLBACK_STALE=$STALE setsid sh "$0" run </dev/null >/dev/null 2>&1 &
	else
		(trap '' HUP; WGF_FALLBACK_EVERY=$EVERY WGF_FALLBACK_STALE=$STALE exec sh "$0" run) </dev/null >/dev/null 2>&1 &
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

mine() { read -r pid version < "$STATE" 2>/dev/null && [ "$pid" = $$ ]; }
leave() {
	kill "$sleeper" 2>/dev/null
	! mine || rm -f "$STATE"
	exit 0
}

run() {
	number=$(index) && [ -n "$number" ] || return 1
	sleeper=
	known=
	trap leave HUP INT TERM
	echo "$$ $VERSION" > "$STATE.$$" && mv -f "$STATE.$$" "$STATE" || return 1
	while :; do
		look
		sleep "$nap" & sleeper=$!
		wait "$sleeper"
		mine || leave
		[ "$(index)" = "$number" ] || { rm -f "$MOVED"; leave; }
	done
}

case ${1-} in
start | stop | run) "$1" ;;
*) echo "usage: sh $0 start|stop|run" >&2; exit 2 ;;
esac
