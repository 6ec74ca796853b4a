#!/usr/bin/env bash
# Signs a request and sends it, with curl and OpenSSL.
#
#   COUNTERSIGN_SECRET=... send.sh URL KEY_ID BODY_FILE SCHEME
#
# SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
# The answer goes to standard output, its status to standard error.
#
# Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
# second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
set -euo pipefail

if [ $# -ne 4 ] || [ -z "${COUNTERSIGN_SECRET:-}" ]; then
    echo 'usage: COUNTERSIGN_SECRET=... send.sh URL KEY_ID BODY_FILE SCHEME' >&2
    exit 2
fi
url=$1 key_id=$2 body_file=$3 scheme=$4
# The secret is used as it is: no decoding from hexadecimal or base64, no line break at its end.
secret=$COUNTERSIGN_SECRET

# Visible ASCII stays, every other byte becomes %XX: so the URL cannot change after it is signed.
percent_encode() {
    local LC_ALL=C text=$1 at byte
    for ((at = 0; at < ${#text}; at++)); do
        case ${text:at:1} in
            [[:graph:]]) printf %s "${text:at:1}" ;;
            *) printf -v byte %d "'${text:at:1}" && printf '%%%02X' $((byte & 255)) ;;
        esac
    done
}

rest=$(percent_encode "${url%%#*}")
rest=${rest#https://}
host=${rest%%[/?]*}
target=${rest#"$host"} # path and query, exactly as they are sent
case $target in /*) ;; *) target=/$target ;; esac
host=$(printf %s "${host%:443}" | tr A-Z a-z) # as in the header Host: no :443, but any other port
url=https://$host$target

send=(--header "X-API-KEY: $key_id")
if [ "$body_file" = - ]; then
    method=GET content_type= body_file=/dev/null
else
    method=POST content_type=application/json
    # The file itself is signed and sent. --data would drop line breaks, jq would write it anew.
    send+=(--data-binary "@$body_file" --header "Content-Type: $content_type")
fi

timestamp=$(date +%s) # seconds: ten digits; milliseconds are refused
nonce=$(openssl rand -hex 16)

# Hexadecimal, 64 digits; base64 is refused. The secret can be seen in the list of processes for a
# moment: run this on a machine of your own only.
hmac() { openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1; }

case $scheme in
    kwikpaisa)
        signature=$({ cat "$body_file" && printf %s "$timestamp"; } | hmac)
        ;;
    countersign-v1)
        digest=$(openssl dgst -sha256 -r < "$body_file" | cut -d' ' -f1)
        # printf, not echo: there is no line break after the last line.
        signature=$(printf '%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s' countersign-v1 "$key_id" \
            "$timestamp" "$nonce" "$method" "$host" "$target" "$content_type" "$digest" | hmac)
        send+=(--header "X-NONCE: $nonce")
        ;;
    *)
        echo "no such scheme: $scheme" >&2
        exit 2
        ;;
esac

answer=$(mktemp -d)
trap 'rm -r "$answer"' EXIT
ended=0
curl --silent --show-error --fail-with-body --globoff --path-as-is \
    --dump-header "$answer/head" --output "$answer/body" --write-out '%{stderr}%{http_code}\n' \
    --request "$method" "${send[@]}" --header "X-TIMESTAMP: $timestamp" \
    --header "X-SIGNATURE: $signature" "$url" || ended=$?
[ -e "$answer/head" ] || exit "$ended" # there was no answer
[ -e "$answer/body" ] || : > "$answer/body"

# A header of the answer, exactly as it came. Heads may come before the last one: 100 Continue.
header() {
    LC_ALL=C awk -v name="$1" '
        /^HTTP\// { value = "" }
        tolower(substr($0, 1, index($0, ":") - 1)) == name {
            value = substr($0, index($0, ":") + 1)
            gsub(/^[ \t]+|[ \t\r]+$/, "", value)
        }
        END { printf "%s", value }' "$answer/head"
}

# Whether the gate signed this answer, and to this request.
is_genuine() {
    secret=$COUNTERSIGN_ANSWER_SECRET
    local time expected digest status
    time=$(header x-timestamp)
    if [ "$scheme" = kwikpaisa ]; then
        # It does not say which request it answers. So it must be new, and its time ten digits, as
        # otherwise digits could move from the body; that it is about your order is yours to check.
        [[ $time =~ ^[1-9][0-9]{9}$ ]] || return 1
        local age=$(($(date +%s) - time))
        [ "${age#-}" -le 300 ] || return 1
        expected=$({ cat "$answer/body" && printf %s "$time"; } | hmac)
    else
        status=$(LC_ALL=C awk '/^HTTP\// { status = $2 } END { printf "%s", status }' "$answer/head")
        digest=$(openssl dgst -sha256 -r < "$answer/body" | cut -d' ' -f1)
        expected=$(printf '%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s' countersign-v1-response "$key_id" \
            "$time" "$nonce" "$status" "$host" "$target" "$(header content-type)" "$digest" | hmac)
    fi
    [ -n "$expected" ] && [ "$(header x-signature)" = "$expected" ]
}

if [ -n "${COUNTERSIGN_ANSWER_SECRET:-}" ] && ! is_genuine; then
    echo 'not signed by the gate:' >&2
    cat "$answer/body" >&2
    exit 1
fi
cat "$answer/body"
exit "$ended"
