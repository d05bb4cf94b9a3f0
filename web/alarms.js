// What is wrong around the host, for operators: what it says of its payment gateway and of its clock (`/health`).

import { $, el } from "./dom.js";

/** How often the host is asked, in seconds. */
const EVERY = 5;

export class Alarms {
  #api;
  #left = 0;

  constructor(api) {
    this.#api = api;
  }

  /** A second has passed. */
  async tick() {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = EVERY;
    try {
      this.#show(words(await this.#api.call("/health", undefined, { method: "GET" })));
    } catch {
      // A host that does not answer is said where the connection is shown. One without `/health` says nothing.
      this.#show([]);
    }
  }

  #show(alarms) {
    $("alarms").hidden = alarms.length === 0;
    $("alarms").replaceChildren(...alarms.map((alarm) => el("p", {}, alarm)));
  }
}

/** What a host says of itself, in words. */
export function words({ gatewayStatus, gatewaySilent, clockOffMs } = {}) {
  const alarms = [];
  if (gatewaySilent) alarms.push("The payment gateway does not answer. It is left alone for a few seconds at a time; nobody can pay meanwhile.");
  if (gatewayStatus) {
    const why = [401, 403].includes(gatewayStatus) ? "it does not accept this host's credentials" : "it does not understand this host, or is none";
    alarms.push(`The payment gateway answers ${gatewayStatus}: ${why}. Nobody can pay until that is mended.`);
  }
  if (clockOffMs) alarms.push(`The clock of the host has jumped by ${Math.round(clockOffMs / 1_000).toLocaleString("en")} seconds. It is not believed until it has been stable for a minute.`);
  return alarms;
}
