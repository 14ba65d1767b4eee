#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# HTTP by bash alone, over /dev/tcp: http.bash client PORT UP NAME COPY
set -eu
shift
port=$1 up=$2 name=$3 copy=$4

# Skip the status line, which must say 200, and the headers.
skip_headers() {
    IFS= read -r line
    [[ $line == *' 200 '* ]] || { echo "answer: $line" >&2; exit 1; }
    while [[ $line != $'\r' ]]; do IFS= read -r line; done
}

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /post HTTP/1.0\r\nContent-Length: %d\r\n\r\n' "$(stat -c %s "$up")" >&3
cat "$up" >&3
{ skip_headers; cat; } <&3
exec 3>&-

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /%s HTTP/1.0\r\n' "$name" >&3
echo -en '\r\n' >&3
{ skip_headers; cat; } <&3 >"$copy"
