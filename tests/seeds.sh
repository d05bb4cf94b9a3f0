#!/usr/bin/env bash
# The seven scenarios of the first proof of concept, against a host that is running: docs/SEEDS.md says how to start one.
#
#   tests/seeds.sh http://127.0.0.1:8080
#
# Prints a line for each scenario. Ends with 0 if all of them went as they should. Needs bash and curl.
set -euo pipefail

url=${1:?which host? for example http://127.0.0.1:8080}
url=${url%/}
# Seats that no run before this one has asked for.
run="seeds-$(date +%s)-$RANDOM"
failed=0

# ask METHOD PATH [BODY]: the answer's body, and its status in the last line.
ask() {
  local body=()
  [ $# -lt 3 ] || body=(--header 'Content-Type: application/json' --data "$3")
  curl --silent --show-error --max-time 60 --request "$1" "${body[@]}" --write-out '\n%{http_code}' "$url$2"
}

# book SEAT USER [CARD]
book() {
  ask POST /Checkout/process \
    "{\"ticketId\":\"$run:$1\",\"userId\":\"$2\",\"paymentMethodId\":\"${3:-card_success}\"}"
}

# expect SCENARIO STATUS TEXT ANSWER: the answer has this status, and this text in it.
expect() {
  if [ "${4##*$'\n'}" = "$2" ] && [[ $4 == *"$3"* ]]; then
    echo "PASS  $1"
  else
    echo "FAIL  $1: expected $2 with $3, got ${4//$'\n'/ }"
    failed=1
  fi
}

expect "1 happy path" 200 '"CONFIRMED"' "$(book happy user-1)"

expect "2 decline" 402 'Payment declined' "$(book declined user-1 card_decline)"
expect "2 decline: the seat is free again" 200 '"AVAILABLE"' "$(ask GET "/Ticket/$run:declined/get")"

expect "3 double booking" 409 'Ticket already sold' "$(book happy user-2)"

expect "4 state query" 200 '"SOLD","reservedBy":"user-1"' "$(ask GET "/Ticket/$run:happy/get")"

race=$(mktemp -d)
trap 'rm -r "$race"' EXIT
for user in user-1 user-2; do book race "$user" >"$race/$user" & done
wait
case "$(tail -n 1 "$race/user-1") $(tail -n 1 "$race/user-2")" in
  "200 409" | "409 200") echo "PASS  5 race: one of two gets the seat" ;;
  *)
    echo "FAIL  5 race: $(cat "$race/user-1") $(cat "$race/user-2")"
    failed=1
    ;;
esac

expect "6 gateway timeout" 503 'Gateway timeout' "$(book timeout user-1 card_error)"
expect "6 gateway timeout: the seat is free again" 200 '"AVAILABLE"' "$(ask GET "/Ticket/$run:timeout/get")"

for seat in 1 2 3 4 5; do
  expect "7 five in a row: seat $seat" 200 '"CONFIRMED"' "$(book "row-$seat" user-1)"
done

exit $failed
