# Runs beside an interface that has the next key of another one, which goes on with its present key. Both have the same peers.
#
# The first line above names the other interface; each that follows names a peer's keys, whether it knows both keys of ours or one,
# the peer, and what it carries. The traffic of a peer goes by that one of the two interfaces by which it shook hands last, so it
# is led there by routes. A host that knows both shakes hands by both, and goes by the next one for as long as that answers. Where
# the other interface has a route of its own, which wg-quick(8) made, a `!` says so: it is replaced, and put back. A handshake is
# seen when its first packet arrives, by nftables' tracing where there is nft(8), else within a second.
OTHER=${PEERS#"$NL"}
OTHER=${OTHER%%"$NL"*}
ABOUT="peers of $OTHER that use its next key"
HOLD=$RUN/hold-$IFACE
EVERY=${WGF_EVERY:-1}
STALE=
DEAD=200 # seconds after which a session is over, and there was time for another handshake

# What leads here now.
routes() { for family in -4 -6; do ip $family route show dev "$IFACE" 2>/dev/null; done | sed '/ proto kernel/d; /^fe80/d; /^ff00/d; /^multicast/d'; }

# What is said of peers is about the words after `-`: first the lines of peers, then after a dot those of $1.
with_peers() {
	{
		printf '%s\n' "$PEERS" "led $led" .
		"$1"
	} | awk -v here="$IFACE" -v other="$OTHER" -v now="$(date +%s)" -v dead=$DEAD -v all="${3-}" "$AWK $2"
}
AWK='
	function plain(prefix) { sub(/!$/, "", prefix); sub(/\/(32|128)$/, "", prefix); return prefix }
	function latest(keys, times,   n, i, list, last) {
		n = split(keys, list, ":")
		for (i = 1; i <= n; i++) if (times[list[i]] + 0 > last) last = times[list[i]] + 0
		return last + 0
	}
	BEGIN {
		while ((getline line) > 0 && line != ".") {
			if (line ~ /^led /) {
				n = split(substr(line, 5), words, " ")
				for (i = 1; i <= n; i++) led[words[i]] = 1
			} else if (index(line, ",")) peers[++count] = line
		}
	}
'
handshakes() { printf '%s\n' "$shakes"; }

# Prints `there KEYS PEER PREFIX..` and `back KEYS PEER PREFIX..` of peers that are to be led to the other interface.
decide() {
	# shellcheck disable=SC2016 # it is for awk
	with_peers handshakes '
		$1 == other { first[$2] = $3 }
		$1 == here { second[$2] = $3 }
		END {
			for (i = 1; i <= count; i++) {
				n = split(peers[i], part, ",")
				a = latest(part[1], first); b = latest(part[1], second)
				go = b > 0 && (b >= a || (part[2] == "both" && now - b < dead))
				if (go == (part[1] in led)) continue
				list = ""
				for (j = 4; j <= n; j++) list = list " " part[j]
				print go ? "there" : "back", part[1], part[3] list
			}
		}'
}
# Prints the same of peers of whom something leads here, and `stray - - PREFIX` of what leads here and is nobody's.
# With `all` in $1, only of those of whom everything does.
led_here() {
	# shellcheck disable=SC2016 # it is for awk
	with_peers routes '
		{ there[plain($1)] = 1 }
		END {
			for (i = 1; i <= count; i++) {
				n = split(peers[i], part, ",")
				list = ""
				for (j = 4; j <= n; j++) {
					known[plain(part[j])] = 1
					if (plain(part[j]) in there) list = list " " part[j]; else missing[i] = 1
				}
				if (list != "" && (all == "" || !(i in missing))) print "back", part[1], part[3] list
			}
			for (prefix in there) if (!(prefix in known)) print "stray - -", prefix
		}' "${1-}"
}

# Leads what has to be led: lines of one of the words above, keys, a peer and prefixes. Packets are lost while a peer and this host
# go by different keys, so routes come first, in as few commands as there are families, and what is said of it comes after.
lead_all() {
	[ -n "$1" ] || return 0
	case $(printf '%s\n' "$1" | wc -l) in
	? | 1?) ;;
	*) lead_many "$1"; return ;;
	esac
	four='' six=''
	while read -r way keys who rest; do
		for to in $rest; do
			own=no
			case $to in *!) own=yes to=${to%!} ;; esac
			case $way.$own in
			there.*) line="route replace $to dev $IFACE" ;;
			back.yes) line="route replace $to dev $OTHER${NL}route del $to dev $IFACE" ;; # of one that was replaced there is nothing left
			*) line="route del $to dev $IFACE" ;;
			esac
			case $to in *:*) six=$six$line$NL ;; *) four=$four$line$NL ;; esac
		done
	done <<END
$1
END
	[ -z "$four" ] || printf '%s' "$four" | at_once -4 2>/dev/null || :
	[ -z "$six" ] || printf '%s' "$six" | at_once -6 2>/dev/null || :
	while read -r way keys who rest; do
		case $way in
		there) led="$led$keys "; say "$who uses the next key of $OTHER" ;;
		back) led="${led%%" $keys "*} ${led#*" $keys "}"; say "$who uses the present key of $OTHER" ;;
		esac
	done <<END
$1
END
}
# The same of so many that a shell would take its time.
lead_many() {
	commands=$(printf '%s\n' "$1" | awk -v here="$IFACE" -v other="$OTHER" '{
		for (i = 4; i <= NF; i++) {
			to = $i; own = sub(/!$/, "", to); family = index(to, ":") ? "-6" : "-4"
			if ($1 == "there") { print family, "route replace", to, "dev", here; continue }
			if ($1 == "back" && own) print family, "route replace", to, "dev", other
			print family, "route del", to, "dev", here # of one that was replaced there is nothing left
		}
	}')
	for family in -4 -6; do
		printf '%s\n' "$commands" | sed -n "s/^$family //p" | at_once $family 2>/dev/null || :
	done
	say "$(printf '%s\n' "$1" | wc -l) peers of $OTHER use another of its two keys"
	led=$(printf 'led %s\n%s\n' "$led" "$1" | awk '
		$1 == "led" { for (i = 2; i <= NF; i++) there[$i] = 1 }
		$1 == "there" { there[$2] = 1 }
		$1 == "back" { delete there[$2] }
		END { for (keys in there) printf " %s", keys; print " " }')
}
# Carries out what ip(8) reads, with the option $1.
at_once() {
	case $BATCH in
	yes) ip "$1" -force -batch - ;;
	*)
		while read -r words; do
			# shellcheck disable=SC2086 # words without blanks
			ip "$1" $words
		done
		;;
	esac
}
# Whether ip(8) reads a list of commands; busybox's doesn't.
case $(ip -V 2>&1) in *iproute2*) BATCH=yes ;; *) BATCH=no ;; esac

look() {
	next_nap
	[ ! -e "$HOLD" ] || return 0
	# Woken, it looks as often as it can until there is something new.
	shakes=$(wg show all latest-handshakes 2>/dev/null)
	if [ "$soon" -gt 0 ] && [ "$shakes" = "$known" ]; then return 0; fi
	known=$shakes
	lead_all "$(decide)"
	looks=$((looks + 1))
	[ $((looks % 6)) != 0 ] || learn
}

first_look() {
	trap end_with_all HUP INT TERM
	looks=0 known='' led=' '
	# Hosts shake hands as soon as the interface is up, and go by it from then on: they don't wait until this one can listen.
	look
	port_of "$OTHER"; ports=$port
	port_of "$IFACE"
	if listen "$ports${ports:+${port:+,}}$port" && [ "$EVERY" = 1 ]; then EVERY=10; fi
	known=''
	learn
	look
}
# What leads here, whoever has led it or taken it away.
learn() {
	led=' '
	todo=$(led_here all)
	while read -r way keys who prefix; do
		case $way in
		back) led="$led$keys " ;;
		stray) lead_all "stray - - $prefix" ;;
		esac
	done <<END
$todo
END
}

# The other interface learns where the peers are that are led here.
tell() {
	{
		wg show all latest-handshakes 2>/dev/null | sed 's/^/shook /'
		wg show "$IFACE" endpoints 2>/dev/null | sed 's/^/at /'
	} | awk -v here="$IFACE" -v other="$OTHER" '
		$1 == "shook" && $2 == other { first[$3] = $4 }
		$1 == "shook" && $2 == here { second[$3] = $4 }
		$1 == "at" && $3 != "(none)" && $2 in first && second[$2] > 0 && second[$2] >= first[$2] { print "peer", $2, "endpoint", $3 }
	' | xargs -n 400 wg set "$OTHER" 2>/dev/null || :
}

# Everything goes by the other interface again.
forget() {
	no_longer_listen
	tell
	back
}
back() {
	led=' '
	lead_all "$(led_here)"
}

# The other interface is about to take this one's place: it learns where the peers are. What leads here does so until `back`.
pass() {
	end && no_longer_listen && tell
}

# While the other interface comes up nothing leads here: wg-quick(8) fails where a route that it makes is there already.
hold() {
	mkdir -p "$RUN" && chmod 700 "$RUN" && : > "$HOLD"
	stop
}
release() {
	rm -f "$HOLD"
	[ ! -e "/sys/class/net/$IFACE" ] || start
}

case ${1-} in
start | stop | run | hold | release | pass | back) "$1" ;;
*) echo "usage: sh $0 start|stop|run|hold|release|pass|back" >&2; exit 2 ;;
esac
