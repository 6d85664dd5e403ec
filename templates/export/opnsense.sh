#!/bin/sh
# Sets up a WireGuard instance and its peers on OPNsense by its API. Made by wg-friend; there is no secret in here.
#
#   OPNSENSE_URL=https://firewall.example OPNSENSE_SECRET_FILE=apikey.txt sh wg0-opnsense.sh
#
# What is set stands in the .json file beside the script. It holds keys: delete it afterwards.
#   OPNSENSE_URL           where the firewall answers
#   OPNSENSE_SECRET_FILE   the file that came with the API key (key=..., secret=...); or
#   OPNSENSE_KEY, OPNSENSE_SECRET   the two themselves
#   OPNSENSE_CA            a file with its certificate, if that isn't one that this machine trusts
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
: "${OPNSENSE_URL:?is the address of the firewall, such as https://firewall.example}"
case $OPNSENSE_URL in
https://*) ;;
*) die "OPNSENSE_URL has to begin with https://: keys go through it" ;;
esac

if [ -n "${OPNSENSE_SECRET_FILE:-}" ]; then
	OPNSENSE_KEY=$(sed -n 's/^key=//p' "$OPNSENSE_SECRET_FILE" | tr -d '\r')
	OPNSENSE_SECRET=$(sed -n 's/^secret=//p' "$OPNSENSE_SECRET_FILE" | tr -d '\r')
fi
if [ -z "${OPNSENSE_KEY:-}" ] || [ -z "${OPNSENSE_SECRET:-}" ]; then
	die "give OPNSENSE_SECRET_FILE, or OPNSENSE_KEY and OPNSENSE_SECRET"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# curl reads what is secret from files: arguments can be seen by everybody on this machine. printf is built in.
printf 'user = "%s:%s"\n' "$OPNSENSE_KEY" "$OPNSENSE_SECRET" >"$work/curl"
unset OPNSENSE_KEY OPNSENSE_SECRET
[ -z "${OPNSENSE_CA:-}" ] || printf 'cacert = "%s"\n' "$OPNSENSE_CA" >>"$work/curl"

# call PATH: sends the JSON on standard input, answers with what the firewall says.
call() {
	curl --silent --show-error --fail --config "$work/curl" --header 'Content-Type: application/json' \
		--data @- "$OPNSENSE_URL/api/wireguard/$1"
}

# saved WHAT: passes an answer on unless the firewall refused, and then says why.
saved() {
	cat >"$work/answer"
	jq -e '.result == "saved"' "$work/answer" >/dev/null ||
		die "the firewall refused $1: $(jq -c '.validations // .' "$work/answer")"
}

# identity KIND NAME: prints under what identity a server or client of this name is there; nothing if it isn't.
identity() {
	printf '{"current":1,"rowCount":-1,"searchPhrase":""}' | call "$1/search_$1" >"$work/found"
	jq -r --arg name "$2" '[.rows[] | select(.name == $name) | .uuid][0] // empty' "$work/found"
}

# put KIND NAME BODY: adds or changes it, and prints its identity.
put() {
	uuid=$(identity "$1" "$2")
	if [ -n "$uuid" ]; then
		call "$1/set_$1/$uuid" <"$3" | saved "$1 $2"
	else
		call "$1/add_$1" <"$3" | saved "$1 $2"
		uuid=$(identity "$1" "$2")
	fi
	[ -n "$uuid" ] || die "the firewall doesn't show $1 $2"
	echo "$uuid"
}

peers=
count=$(jq '.clients | length' "$data")
at=0
while [ "$at" -lt "$count" ]; do
	name=$(jq -r ".clients[$at].name" "$data")
	jq "{client: .clients[$at]}" "$data" >"$work/body"
	uuid=$(put client "$name" "$work/body")
	peers="$peers${peers:+,}$uuid"
	echo "peer $name: $uuid"
	at=$((at + 1))
done

name=$(jq -r .server.name "$data")
jq --arg peers "$peers" '{server: (.server + {peers: $peers})}' "$data" >"$work/body"
uuid=$(put server "$name" "$work/body")
echo "instance $name: $uuid"

printf '{}' | call service/reconfigure >"$work/answer"
jq -e '.status == "ok" or .result == "ok"' "$work/answer" >/dev/null || die "reconfiguring failed: $(jq -c . "$work/answer")"
echo "done: the peers and the instance are set; look at VPN, WireGuard, Status"
