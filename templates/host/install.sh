# Brings what a host lacks. W_WANT: see packages.sh; W_DRY: `yes` only says what would be done.
w_main() {
	w_prepare
	w_section os "$W_FAMILY" "${W_ID:-unknown}" "$W_INIT"; printf '%s\n' "$W_PRETTY"
	for w_v in $W_MISSING; do w_section missing "${w_v%%:*}" "${w_v#*:}"; done
	printf '%s' "$W_COMMANDS" | while IFS=' ' read -r w_kind w_line; do w_section command "$w_kind"; printf '%s\n' "$w_line"; done
	if [ "$W_DRY" = yes ] || [ -z "$W_COMMANDS" ]; then w_section end; return 0; fi
	if w_carry_out; then
		w_reports
		w_prepare # what is still missing now that it is done
		for w_v in $W_MISSING; do w_section lacks "${w_v%%:*}" "${w_v#*:}"; done
	else
		w_reports
		w_section failed "$W_WHY"; printf '%s\n' "$W_SAID" | tail -n 20
	fi
	for w_v in $W_NEWLY; do w_section installed "$w_v"; done
	w_section end
}
