# Tells how long ago the peers in W_PEERS (INTERFACE/KEY words) shook hands; 0 is never.
w_shakes() {
	w_section clock "$(date +%s)"
	for w_p in $W_PEERS; do
		w_v=$(wg show "${w_p%%/*}" latest-handshakes 2>/dev/null | awk -v key="${w_p#*/}" '$1 == key { print $2 }')
		w_section shake "$w_p" "${w_v:-none}"
	done
}
