#!/bin/sh
# A stand-in for curl and both firewalls: notes its arguments in $STATE/arguments, keeps what it is given in $STATE.
printf '%s\n' "$@" >>"$STATE/arguments"
body=$STATE/none config='' output=/dev/stdout method=POST
: >"$body"
while [ $# -gt 0 ]; do
	case $1 in
	--data)
		body=${2#@}
		[ "$body" != - ] || { cat >"$STATE/body" && body=$STATE/body; }
		shift
		;;
	--config) config=$2 && shift ;;
	--output) output=$2 && shift ;;
	--request) method=$2 && shift ;;
	--header) shift ;;
	https://*) url=$1 ;;
	esac
	shift
done
grep -q "$EXPECTED" "$config" || { echo '{"code":401,"message":"no"}' >"$output" && exit 22; }
word=${url##*wireguard/}
kept() { cat "$STATE/$1".* 2>/dev/null | jq -s -c "$2"; }
case $word in
*/search_*) kept "${word%%/*}" '{rows: .}' ;;
*/add_*)
	kind=${word%%/*}
	uuid=$kind-$(jq -r ".$kind.name" "$body")
	jq -c --arg uuid "$uuid" ".$kind + {uuid: \$uuid}" "$body" >"$STATE/$kind.$uuid"
	echo '{"result":"saved"}'
	;;
*/set_*)
	kind=${word%%/*} uuid=${word##*/}
	jq -c --arg uuid "$uuid" ".$kind + {uuid: \$uuid}" "$body" >"$STATE/$kind.$uuid"
	echo '{"result":"saved"}'
	;;
service/reconfigure) echo '{"status":"ok"}' ;;
'tunnels?limit=0' | 'peers?limit=0') kept "${word%%s*}" '{code: 200, data: .}' ;;
tunnel | peer)
	id=$(jq '.id // empty' "$body")
	[ "$method" = PATCH ] || id=$(cat "$STATE/$word".* 2>/dev/null | grep -c .)
	jq -c --argjson id "$id" '. + {id: $id}' "$body" >"$STATE/$word.$id"
	echo '{"code":200}'
	;;
apply) echo '{"code":200}' ;;
*) echo '{"code":404,"message":"no such call"}' ;;
esac >"$output"
