# Looks at what of wg-friend's is on a host, or takes it off. W_LEAVE: `look`; `stay`: somebody waits for the answer;
# `alone`: the way to the host goes through what is taken down, so it is done once nobody listens any more. The function
# w_stage writes the files that were there before wg-friend, and leave.sh.
w_main() {
	if [ "$W_LEAVE" = look ]; then
		w_section way "$(w_came_in)"
		for w_v in $W_TAKE $W_GIVE; do if w_is_up "$w_v"; then w_section up "$w_v"; fi; done
		w_section installed; cat /var/lib/wg-friend/installed 2>/dev/null
		w_section before; cat /var/lib/wg-friend/before 2>/dev/null
		w_section end
		return 0
	fi
	mkdir -p "$RUN" && chmod 700 "$RUN" || { w_section failed lock; echo "$RUN can't be made"; w_section end; return 0; }
	if ! mkdir "$D" 2>/dev/null; then
		w_owner=somebody; [ ! -r "$D/owner" ] || read -r w_owner < "$D/owner"
		w_section failed busy; printf '%s\n' "$w_owner is at work on it right now"; w_section end
		return 0
	fi
	if ! { mkdir "$D/give" "$D/new" && w_stage; }; then
		rm -rf "$D"; w_section failed stage; echo "there is no room in $RUN"; w_section end
		return 0
	fi
	if [ "$W_LEAVE" = alone ]; then
		if [ "$W_INIT" = systemd ] && w_have systemd-run; then
			systemd-run --quiet --collect --unit=wg-friend-leaves --setenv=W_ROLE=alone /bin/sh "$D/leave.sh" >/dev/null 2>&1
		elif w_have setsid; then
			W_ROLE=alone setsid sh "$D/leave.sh" </dev/null >/dev/null 2>&1 &
		else
			(trap '' HUP INT TERM; W_ROLE=alone sh "$D/leave.sh") </dev/null >/dev/null 2>&1 &
		fi
		w_section alone; w_section end
		return 0
	fi
	w_leave_all
	w_end
	w_reports
	for w_v in $w_bad; do w_section bad "$w_v"; done
	w_section gone; w_section end
}
