# Keeps lines in the list of what was brought to a host. W_LINES: the lines.
w_main() {
	w_failed=
	while IFS= read -r w_v; do
		[ -z "$w_v" ] || w_keep_in_mind "$w_v" || w_failed=yes
	done <<WG_FRIEND_LINES
$W_LINES
WG_FRIEND_LINES
	if [ -n "$w_failed" ]; then w_section failed; echo "/var/lib/wg-friend can't be written"; fi
	w_section end
}
