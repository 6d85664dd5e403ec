# Lets whoever has an SSH key log in as a user. Set before this: nothing. lib.sh isn't needed: this also runs as a user who
# is not root.

# The file of authorized keys of the user whose home is $1: dropbear on OpenWrt has root's elsewhere.
w_authorized() {
	if [ -d /etc/dropbear ] && [ ! -d "$1/.ssh" ] && [ "$(id -u)" = 0 ]; then echo /etc/dropbear/authorized_keys; else echo "$1/.ssh/authorized_keys"; fi
}

# Adds key $2 (type, key and name) to file $1 unless the key is there; sets W_ADDED, and W_MADE when there was no such file.
w_authorize() {
	W_ADDED=no; W_MADE=no
	w_type=${2%% *}; w_rest=${2#* }; w_key=${w_rest%% *}
	if [ -r "$1" ] && grep -v '^[[:space:]]*#' "$1" | grep -qF "$w_type $w_key"; then return 0; fi
	w_dir=${1%/*}
	if [ ! -d "$w_dir" ]; then mkdir -p "$w_dir" && chmod 700 "$w_dir" || return 1; fi
	[ -e "$1" ] || W_MADE=yes
	# A last line without its end would swallow the key.
	if [ -s "$1" ] && [ -n "$(tail -c 1 "$1")" ]; then printf '\n' >> "$1" || return 1; fi
	printf '%s\n' "$2" >> "$1" && chmod 600 "$1" || return 1
	if command -v restorecon >/dev/null 2>&1; then restorecon -RF "$w_dir" 2>/dev/null || :; fi
	W_ADDED=yes
}

# Takes key $2 (type and key) out of file $1. The file keeps its owner and mode; one that is left empty stays.
w_unauthorize() {
	[ -f "$1" ] || return 0
	w_left=$(grep -vF "$2" "$1") || :
	if [ -n "$w_left" ]; then printf '%s\n' "$w_left" > "$1"; else : > "$1"; fi
}
