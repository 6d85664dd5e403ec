#!/bin/sh
# Sets up a WireGuard tunnel and its peers on pfSense by its REST API (package RESTAPI, version 2). Made by wg-friend;
# there is no secret in here.
#
#   PFSENSE_URL=https://firewall.example PFSENSE_KEY_FILE=apikey.txt sh wg0-pfsense.sh
#
# What is set stands in the .json file beside the script. It holds keys: delete it afterwards.
#   PFSENSE_URL        where the firewall answers
#   PFSENSE_KEY_FILE   a file with an API key; or PFSENSE_KEY, the key itself
#   PFSENSE_CA         a file with its certificate, if that isn't one that this machine trusts
# Run again, it changes what is there instead of adding it twice. Needs curl and jq.
set -eu
umask 077

die() {
	echo "$0: $*" >&2
	exit 1
}

data=${0%.sh}.json
[ -r "$data" ] || die "there is no $data: it belongs beside this script"
for program in curl jq; do
	command -v "$program" >/dev/null || die "$program is missing"
done
: "${PFSENSE_URL:?is the address of the firewall, such as https://firewall.example}"
case $PFSENSE_URL in
https://*) ;;
*) die "PFSENSE_URL has to begin with https://: keys go through it" ;;
esac
[ -z "${PFSENSE_KEY_FILE:-}" ] || PFSENSE_KEY=$(head -n 1 "$PFSENSE_KEY_FILE" | tr -d '\r')
[ -n "${PFSENSE_KEY:-}" ] || die "give PFSENSE_KEY_FILE or PFSENSE_KEY"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# curl reads what is secret from files: arguments can be seen by everybody on this machine. printf is built in.
printf 'header = "X-API-Key: %s"\n' "$PFSENSE_KEY" >"$work/curl"
unset PFSENSE_KEY
[ -z "${PFSENSE_CA:-}" ] || printf 'cacert = "%s"\n' "$PFSENSE_CA" >>"$work/curl"

# call METHOD PATH [BODY]: answers with the document that the firewall sends, or says why it refuses.
call() {
	if [ $# -gt 2 ]; then
		curl --silent --show-error --config "$work/curl" --request "$1" --header 'Content-Type: application/json' \
			--data @"$3" --output "$work/answer" "$PFSENSE_URL/api/v2/vpn/wireguard/$2"
	else
		curl --silent --show-error --config "$work/curl" --request "$1" --output "$work/answer" \
			"$PFSENSE_URL/api/v2/vpn/wireguard/$2"
	fi
	jq -e '.code == 200' "$work/answer" >/dev/null || die "$1 $2: $(jq -c '.message // .' "$work/answer")"
}

name=$(jq -r .tunnel.name "$data")
call GET 'tunnels?limit=0'
id=$(jq -r --arg name "$name" '[.data[] | select(.name == $name) | .id][0] // empty' "$work/answer")
if [ -n "$id" ]; then
	jq --argjson id "$id" '.tunnel + {id: $id}' "$data" >"$work/body"
	call PATCH tunnel "$work/body"
else
	jq .tunnel "$data" >"$work/body"
	call POST tunnel "$work/body"
fi
echo "tunnel $name"

count=$(jq '.peers | length' "$data")
at=0
while [ "$at" -lt "$count" ]; do
	key=$(jq -r ".peers[$at].publickey" "$data")
	call GET 'peers?limit=0'
	id=$(jq -r --arg key "$key" --arg tun "$name" \
		'[.data[] | select(.publickey == $key and .tun == $tun) | .id][0] // empty' "$work/answer")
	if [ -n "$id" ]; then
		jq --argjson id "$id" ".peers[$at] + {id: \$id}" "$data" >"$work/body"
		call PATCH peer "$work/body"
	else
		jq ".peers[$at]" "$data" >"$work/body"
		call POST peer "$work/body"
	fi
	echo "peer $key"
	at=$((at + 1))
done

printf '{}' >"$work/body"
call POST apply "$work/body"
echo "done: the tunnel and its peers are set and applied; look at VPN, WireGuard"
