# Confirms the deploy TOKEN, if it is the one that waits.

# Leaves the signed head of the audit log LOG beside the deploy's record, behind those of earlier deploys: they show there
# that the log has been rewritten since, or put back. The twenty newest stay, of six lines each. The deploy is as good
# without it.
w_leave_head() {
	[ -n "$HEAD" ] || return 0
	w_f=/var/lib/wg-friend/deployed-heads-$LOG
	{ tail -n 114 "$w_f"; printf '%s\n' "$HEAD"; } > "$w_f.new" 2>/dev/null && { sync "$w_f.new" 2>/dev/null || sync; } && mv -f "$w_f.new" "$w_f" 2>/dev/null || rm -f "$w_f.new"
}

w_main() {
	w_t=
	[ ! -r "$D/token" ] || read -r w_t < "$D/token"
	if [ "$w_t" != "$TOKEN" ]; then
		w_section gone
		if [ -r "$RUN/last" ]; then cat "$RUN/last"; fi
		w_section end
		return 0
	fi
	W_ROLE=; w_b=$B # the deploy's script brings the boundary that its own digests were made with
	. "$D/deploy.sh"
	if [ "$DECISION" = undo ]; then
		w_clean=no
		w_undo_all "$WHY"
		B=$w_b
		w_section undone "$w_clean"; w_section end
		return 0
	fi
	w_begin
	if ! w_why=$(w_reserve 2>&1); then
		w_unreserve
		w_clean=no
		w_undo_all "the new files don't fit on the disk"
		B=$w_b
		w_did reserve no
		w_reports; w_section failed reserve "$w_clean"; printf '%s\n' "$w_why"; w_section end
		return 0
	fi
	B=$w_b
	w_did reserve yes
	if mkdir "$D/decided" 2>/dev/null; then
		echo commit > "$D/decided/by"
		w_begin
		w_finish
		w_did finish yes
		w_leave_head
		w_reports; w_section confirmed
	else
		w_reports; w_section gone
	fi
	w_dump=$(wg show all dump 2>/dev/null)
	w_text=$(w_still)
	w_digest "$w_text" "$w_dump"
	printf '%s\n' "$w_text"
	w_section fingerprint "$w_sum"
	w_section end
}
