# Tries one connection or ping as the model says it goes. W_HOW: icmp, tcp or udp; W_TO: address; W_PORT; W_FROM: the
# source address, empty to let the kernel choose; W_BEHIND: a host of a LAN for which to ask, with our own address there;
# W_WAIT: seconds to wait first; W_PEERS: INTERFACE/KEY words whose handshakes are told.
w_says() { printf '%s\n' "$1" | tr '\n' ' '; }

w_connect() { # prints `answered`, or the number of the error and its words
	if w_have python3; then
		python3 -c 'import socket, sys
to, port, source, how = sys.argv[1:]
kind = socket.SOCK_DGRAM if how == "udp" else socket.SOCK_STREAM
try:
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, kind)
    s.settimeout(5)
    if source: s.bind((source, 0))
    s.connect((to, int(port)))
    if how == "udp":
        s.send(b"\n")
        s.recv(1)
    print("answered")
except socket.timeout: print("110 no answer")
except OSError as e: print(e.errno, e.strerror)' "$W_TO" "$W_PORT" "$w_source" "$W_HOW" 2>&1
	elif w_have perl && [ "$W_HOW" = tcp ]; then
		perl -MIO::Socket::IP -e 'my ($to, $port, $source) = @ARGV;
my $s = IO::Socket::IP->new(PeerHost => $to, PeerPort => $port, Proto => "tcp", Timeout => 5, $source ? (LocalHost => $source) : ());
print $s ? "answered\n" : ($! + 0) . " $!\n"' "$W_TO" "$W_PORT" "$w_source" 2>&1
	elif w_have bash && [ "$W_HOW" = tcp ] && [ -z "$W_BEHIND" ]; then
		w_said=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$W_TO" "$W_PORT" 2>&1)
		case $?,$w_said in
		0,*) echo answered ;;
		*refused*) echo 111 Connection refused ;;
		*'Required key'*) echo 126 Required key not available ;;
		*unreachable*) echo 101 Network is unreachable ;;
		*) echo 110 no answer ;;
		esac
	else echo "- needs python3"; fi
}

w_ping() {
	if ! w_have ping; then echo "- needs ping"; return; fi
	# shellcheck disable=SC2086 # no source is no word
	w_said=$(ping -n -c 1 -w 5 ${w_source:+-I "$w_source"} "$W_TO" 2>&1)
	case $?,$w_said in
	0,*) echo answered ;;
	*'Required key'*) echo 126 Required key not available ;;
	*'etwork is unreachable'* | *'etwork unreachable'*) echo 101 Network is unreachable ;;
	*rohibited* | *iltered*) echo 113 prohibited ;;
	*) echo 110 no answer ;;
	esac
}

w_main() {
	w_source=$W_FROM
	if [ -n "$W_BEHIND" ]; then
		w_source=$(ip route get "$W_BEHIND" 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p')
	fi
	w_section source "$w_source"
	w_section route; ip route get "$W_TO" ${w_source:+from "$w_source"} 2>&1
	[ "$W_WAIT" = 0 ] || sleep "$W_WAIT"
	case $W_HOW in
	icmp) w_said=$(w_ping) ;;
	*) w_said=$(w_connect) ;;
	esac
	w_section tried; w_says "$w_said"
	w_shakes
	w_section end
}
