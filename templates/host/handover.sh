# Runs beside the interface and follows peers to their next keys.
#
# Each line above names a peer's next key, its present key, and what the present one carries. Whoever begins a handshake with
# the next key has it and uses it: what the present one carries goes to it in one step, so that nothing sent meanwhile is
# refused. The present key stays for so many seconds as the line says, without AllowedIPs, and has all of it back if it shakes
# hands once more; then it is removed. Only these peers are ever touched. A handshake is seen when its first packet arrives,
# by nftables' tracing where there is nft(8), else within a second.
ABOUT="next keys of peers of $IFACE"
EVERY=${WGF_EVERY:-1}
STALE=${WGF_STALE:-}
DEAD=200 # seconds after which a session is over, and there was time for another handshake

uptime() { read -r up rest < /proc/uptime; up=${up%.*}; }

# The value of key $2 in the list $1 of ` key=value `, in `value`.
of() {
	case $1 in
	*" $2="*) value=${1#*" $2="}; value=${value%% *} ;;
	*) return 1 ;;
	esac
}

# How many bytes have arrived from the peer $1, in `value`: the first ones are a handshake's.
received() { value_of "$counters" "$1" && value=${value%%"$TAB"*}; }

shakes() { shakes=${shakes:-$(wg show "$IFACE" latest-handshakes 2>/dev/null)}; }
shook() { shakes; value_of "$shakes" "$1" || value=0; }

# Whether something has come from the next key that didn't count before.
heard() {
	received "$next" || return 1
	got=$value
	of "$old_news" "$next" || value=0
	[ "$got" -gt "$value" ]
}

# Whether the last handshake by the key $1 is one whose session may go on. Of a peer that is there by both keys for as long as
# it likes, each is called from time to time: as long as the next one answers, the present one means nothing.
lives() { shook "$1" && [ $(($(date +%s) - value)) -lt "$DEAD" ]; }

# What AllowedIPs another peer takes a peer loses by itself, so each of these is one step.
hand_over() {
	if wg set "$IFACE" peer "$next" allowed-ips "$prefixes" 2>/dev/null; then
		shakes=
		remember_over
		say "$who uses its next key, which carries from now on what the one before it did"
	fi
}
remember_over() {
	uptime
	shook "$old"
	over="$over $next=$up,$value "
}
take_back() {
	if wg set "$IFACE" peer "$old" allowed-ips "$prefixes" 2>/dev/null; then
		over="${over%%" $next="*} ${over#*" $next=$at "}"
		received "$next" || value=0
		old_news=" $next=$value $old_news"
		say "$who uses the key again that it had before"
	fi
}
drop() {
	if wg set "$IFACE" peer "$old" remove 2>/dev/null; then say "the key that $who had before is removed"; fi
}

look() {
	next_nap
	counters=$(wg show "$IFACE" transfer 2>/dev/null) || return 0
	shakes=
	for line in $KEYS; do
		next=${line%%,*}; line=${line#*,}
		old=${line%%,*}; line=${line#*,}
		grace=${line%%,*}; line=${line#*,}
		who=${line%%,*}; prefixes=${line#*,}
		if ! of "$over" "$next"; then
			! heard || hand_over
			continue
		fi
		at=$value
		received "$old" || continue # it is gone
		if [ "$grace" = - ] && lives "$next"; then continue; fi
		shook "$old"
		if [ "$value" != 0 ] && [ "$value" != "${at#*,}" ]; then take_back; continue; fi
		shook "$next"
		uptime
		if [ "$value" != 0 ] && [ "$grace" != - ] && [ $((up - ${at%,*})) -ge "${STALE:-$grace}" ]; then drop; fi
	done
}

# What was handed over already stays so; and what came from a next key before the last handshake with the present one is no
# news.
first_look() {
	trap end_with_all HUP INT TERM
	over=
	old_news=
	counters=$(wg show "$IFACE" transfer 2>/dev/null)
	allowed=$(wg show "$IFACE" allowed-ips 2>/dev/null)
	shakes=
	for line in $KEYS; do
		next=${line%%,*}; line=${line#*,}
		old=${line%%,*}
		if value_of "$allowed" "$next" && [ "$value" != "(none)" ]; then remember_over; continue; fi
		shook "$old"; before=$value
		shook "$next"
		if [ "$value" -le "$before" ] && received "$next"; then old_news=" $next=$value $old_news"; fi
	done
	port_of "$IFACE"
	listen "$port" || :
	look
}
forget() { no_longer_listen; }

case ${1-} in
start | stop | run) "$1" ;;
*) echo "usage: sh $0 start|stop|run" >&2; exit 2 ;;
esac
