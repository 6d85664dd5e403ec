# Reads the signed heads of the audit log LOG that deploys have left here, and of which other logs there are some.
w_main() {
	w_f=/var/lib/wg-friend/deployed-heads-
	if [ -r "$w_f$LOG" ] && [ -s "$w_f$LOG" ]; then w_section heads; cat "$w_f$LOG"; fi
	w_section others
	for w_g in "$w_f"*; do
		case $w_g in *'*' | *.new | "$w_f$LOG") ;; *) if [ -s "$w_g" ]; then printf '%s\n' "${w_g#"$w_f"}"; fi ;; esac
	done
	w_section end
}
