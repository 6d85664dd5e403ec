# Keeps a backup, drops one, or looks at one: W_DO says which. W_FILE: where it is; W_FIRST: its first line, by which it is
# known; W_SUM: its SHA-256, as text when it is to be kept, else of what the text says; the function w_content prints it.
w_fail() { w_section failed; echo "$1"; w_section end; exit 0; }

w_keep() {
	w_dir=${W_FILE%/*}
	mkdir -p "$w_dir" 2>/dev/null || w_fail "$w_dir can't be made"
	[ ! -e "$W_FILE" ] || w_fail "$W_FILE exists already"
	w_part=$w_dir/.wg-friend-$$.part
	trap 'rm -f "$w_part"' EXIT
	trap 'exit 1' HUP INT TERM
	w_content > "$w_part" 2>/dev/null || w_fail "$w_dir can't be written, or is full"
	sync
	w_v=$(sha256sum < "$w_part")
	[ "${w_v%% *}" = "$W_SUM" ] || w_fail "what was written to $w_dir reads back otherwise"
	mv "$w_part" "$W_FILE" || w_fail "$W_FILE can't be put in place"
}

w_drop() {
	[ -e "$W_FILE" ] || return 0
	IFS= read -r w_v < "$W_FILE"
	[ "$w_v" = "$W_FIRST" ] || w_fail "$W_FILE is another file by now"
	rm "$W_FILE" || w_fail "$W_FILE can't be removed"
}

w_look() {
	[ -e "$W_FILE" ] || w_fail "it is not there"
	[ -r "$W_FILE" ] || w_fail "it can't be read"
	IFS= read -r w_v < "$W_FILE"
	[ "$w_v" = "$W_FIRST" ] || w_fail "it is another file by now"
	[ "$(tail -n 1 "$W_FILE")" = "-----END WG-FRIEND BACKUP-----" ] || w_fail "its end is missing"
	w_v=$(sed '1d;$d' "$W_FILE" | base64 -d 2>/dev/null | sha256sum)
	[ "${w_v%% *}" = "$W_SUM" ] || w_fail "it is not what was written"
}

w_main() {
	case $W_DO in
	keep) w_keep ;;
	drop) w_drop ;;
	look) w_look ;;
	esac
	w_section kept
	w_section end
}
