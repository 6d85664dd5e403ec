# Lets an SSH key in, as the user whose login this is. W_SSH_KEY: type, key and name.
w_letin() {
	umask 077
	w_file=$(w_authorized "$HOME")
	if w_authorize "$w_file" "$W_SSH_KEY"; then printf '\nwg-friend: %s %s %s\n' "$W_ADDED" "$W_MADE" "$w_file"; else printf '\nwg-friend: failed - %s\n' "$w_file"; fi
}
w_letin </dev/null
