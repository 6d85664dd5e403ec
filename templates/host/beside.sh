# What every loop beside an interface of wg-friend begins with; what this one does follows below.
#
# sh THIS start   begins it in the background, in the place of one that runs already
# sh THIS stop    ends it; it also ends when the interface goes away
# sh THIS run     is it
# WGF_EVERY and WGF_STALE in the environment of `start`: other seconds than its own, for a trial.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
RUN=/run
[ -d /run ] || RUN=/var/run
RUN=$RUN/wg-friend
STATE=$RUN/$KIND-$IFACE
NL='
'
TAB=$(printf '\t')

have() { command -v "$1" >/dev/null 2>&1; }
say() { ! have logger || logger -t wg-friend "$IFACE: $*" 2>/dev/null || :; }
pause() { sleep 0.1 2>/dev/null || sleep 1; }
index() { cat "/sys/class/net/$IFACE/ifindex" 2>/dev/null; }
same_index() { read -r there 2>/dev/null < "/sys/class/net/$IFACE/ifindex" && [ "$there" = "$number" ]; } # no fork: it is asked often

# Whether one runs; sets `pid` and `version`.
running() {
	pid=; version=
	[ -r "$STATE" ] && read -r pid version < "$STATE" && [ -n "$pid" ] &&
		{ tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF "wgf-$KIND-$IFACE.sh"; } 2>/dev/null # busybox's grep ends at a NUL
}

end() {
	tries=0
	while running; do
		tries=$((tries + 1))
		case $tries in
		1) kill "$pid" 2>/dev/null ;;
		30) kill -9 "$pid" 2>/dev/null ;; # it may wait for an answer of a name server
		60) return 1 ;;
		esac
		pause
	done
	rm -f "$STATE"
}

start() {
	mkdir -p "$RUN" && chmod 700 "$RUN" && end || return 1
	if [ -d /run/systemd/system ] && have systemd-run && # apart from the session or the unit that started it
		systemd-run --quiet --collect --no-block --unit="wg-friend-$KIND-$IFACE-$$" --description="wg-friend: $ABOUT" \
			--setenv=WGF_EVERY="$EVERY" --setenv=WGF_STALE="$STALE" /bin/sh "$0" run >/dev/null 2>&1; then :
	elif have setsid; then
		WGF_EVERY=$EVERY WGF_STALE=$STALE setsid sh "$0" run </dev/null >/dev/null 2>&1 &
	else
		(trap '' HUP; WGF_EVERY=$EVERY WGF_STALE=$STALE exec sh "$0" run) </dev/null >/dev/null 2>&1 &
	fi
	tries=0
	until running && [ "$version" = "$VERSION" ]; do
		tries=$((tries + 1))
		[ $tries -le 100 ] || return 1
		pause
	done
}

stop() { end && forget; }

mine() { read -r pid version < "$STATE" 2>/dev/null && [ "$pid" = $$ ]; }
leave() {
	for one in $sleeper $helpers; do kill "$one" 2>/dev/null; done
	! mine || rm -f "$STATE"
	exit 0
}

# Looks, first by `first_look`, then by `look` each time when `nap` seconds have passed or USR1 has arrived, which sets `soon`
# to 7. What it begins beside itself is in `helpers`.
run() {
	number=$(index) && [ -n "$number" ] || return 1
	sleeper=
	helpers=
	woken=no
	soon=0
	nap=$EVERY
	trap leave HUP INT TERM
	trap 'woken=yes; soon=7; [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null' USR1
	echo "$$ $VERSION" > "$STATE.$$" && mv -f "$STATE.$$" "$STATE" || return 1
	first_look
	while :; do
		sleep "$nap" & sleeper=$!
		# USR1 before this was noted, and from here on it ends the sleep: none is slept over.
		if [ $woken = yes ]; then kill "$sleeper" 2>/dev/null; else wait "$sleeper"; fi
		sleeper=
		woken=no
		mine || leave
		same_index || { forget; leave; }
		look
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

