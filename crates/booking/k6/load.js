// The load of `booking load` for k6 (https://grafana.com/docs/k6): buyers want any of fifty seats; of ten cards eight pay, one is
// declined, one gets no answer of the gateway.
//
//     k6 run -e URL=http://127.0.0.1:8080 -e VUS=10 -e DURATION=10s load.js
//
// TOKEN is the token of buyers, if they need one; MAP names the map.

import http from "k6/http";
import { check } from "k6";
import { Counter } from "k6/metrics";

const url = (__ENV.URL || "http://127.0.0.1:8080").replace(/\/+$/, "");
const map = __ENV.MAP || `load-${Date.now().toString(36)}`;
const headers = { "content-type": "application/json" };
if (__ENV.TOKEN) headers.authorization = `Bearer ${__ENV.TOKEN}`;

// What a shop says to buyers: booked, going on, declined, too late, and that the gateway gave no answer.
http.setResponseCallback(http.expectedStatuses(200, 202, 402, 409, 410, 503));

const booked = new Counter("bookings");
const refused = new Counter("refusals");

export const options = { vus: Number(__ENV.VUS || 10), duration: __ENV.DURATION || "10s" };

// Each buyer's virtual machine runs this file anew: one name of a map for all of them.
export function setup() {
  return { map };
}

export default function (data) {
  const seat = 1 + Math.floor(Math.random() * 50);
  const chance = Math.random();
  const paymentMethodId = chance < 0.8 ? "card_success" : chance < 0.9 ? "card_decline" : "card_error";
  const order = { ticketId: `${data.map}:${seat}`, userId: `load-${__VU}`, paymentMethodId };
  const answer = http.post(`${url}/Checkout/process`, JSON.stringify(order), { headers });
  check(answer, { "it was answered as a shop does": ({ status }) => [200, 202, 402, 409, 410, 503].includes(status) });
  if (answer.status === 200) booked.add(1);
  else refused.add(1, { kind: kindOf(answer) });
}

// Restate has the kind at the end of its message: "… [TicketSold]".
function kindOf(answer) {
  try {
    const { kind, message } = answer.json();
    return kind || /\[(\w+)\]$/.exec(message)[1];
  } catch {
    return String(answer.status);
  }
}
