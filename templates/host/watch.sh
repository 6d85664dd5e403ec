# Counts the packets of one flow for a while, in a table that judges nothing and goes again. W_TABLE: its name; W_RULES: its
# content; W_SECONDS: how long; W_PEERS: as in shakes.sh.
w_gone() { nft delete table inet "$W_TABLE" 2>/dev/null; }

w_main() {
	if w_have nft && printf '%s\n' "$W_RULES" | nft -f - 2>/dev/null; then
		trap w_gone EXIT HUP INT TERM
		sleep "$W_SECONDS"
		w_section counters; nft list counters table inet "$W_TABLE" 2>/dev/null
		w_gone
		trap - EXIT HUP INT TERM
	fi
	w_shakes
	w_section end
}
