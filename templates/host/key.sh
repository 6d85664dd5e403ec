# Makes a private key that stays on this host. W_KEEP: names of such files that are in use.
w_main() {
	w_dir=/etc/wireguard
	w_new=$w_dir/.wg-friend-key.new
	w_failed() { rm -f "$w_new"; w_section failed key; printf '%s\n' "$1"; w_section end; }
	w_have wg || { w_failed "there is no wg"; return 0; }
	[ -d $w_dir ] || mkdir -p -m 700 $w_dir || { w_failed "$w_dir can't be made"; return 0; }
	rm -f "$w_new"
	w_why=$( { wg genkey > "$w_new" && [ -s "$w_new" ]; } 2>&1) || { w_failed "no key could be made: $w_why"; return 0; }
	w_public=$(wg pubkey < "$w_new" 2>/dev/null)
	[ -n "$w_public" ] || { w_failed "no key could be made"; return 0; }
	w_sum=$(printf %s "$w_public" | sha256sum)
	w_name=wg-friend-$(printf %.16s "$w_sum").key
	sync "$w_new" 2>/dev/null || sync
	mv -f "$w_new" "$w_dir/$w_name" || { w_failed "$w_dir/$w_name can't be written"; return 0; }
	sync $w_dir 2>/dev/null || sync
	for w_f in $w_dir/wg-friend-*.key; do # what was made and never came to be used
		case " $W_KEEP $w_name " in *" ${w_f##*/} "*) ;; *) rm -f "$w_f" ;; esac
	done
	w_section made "$w_public" "$w_name"
	w_section end
}
