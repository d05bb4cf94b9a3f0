// The booking API over HTTP: a call, and its answer or what went wrong. Tokens stay in memory, and never go into a URL.

/** The host has answered, and the answer is no. */
export class Refusal extends Error {
  constructor(status, kind, message, { retryAfter = 0, ticketId, money } = {}) {
    super(message);
    Object.assign(this, { status, kind, retryAfter, ticketId, money });
  }

  /** Whether nothing was judged, so that the same call is to be tried again. */
  get isPassing() {
    return ["Overloaded", "StorageUnavailable", "RateLimited"].includes(this.kind);
  }
}

/** The host has not answered: what was asked for may have happened, or not. */
export class Unreachable extends Error {}

/** How long an answer may take, in ms. A checkout is answered within 30 s, with its end or with a promise. */
const ANSWER_WITHIN = 45_000;

export const sleep = (millis) => new Promise((wake) => setTimeout(wake, millis));

/** How long to wait after this number of failures in a row, in ms: doubling to ten seconds, and not the same for all pages. */
export const backoff = (failures) => Math.min(10_000, 500 * 2 ** Math.min(failures, 10)) * (0.75 + Math.random() / 2);

export class Api {
  #token = null;
  #adminToken = null;
  #unlocked = [];
  /** Is called when the host wants a token that it was not shown. */
  onLocked = () => {};

  /** @param {string} base where the API is: a URL, or `.` for beside this page */
  constructor(base) {
    this.base = new URL(`${base.replace(/\/$/, "")}/`, document.baseURI);
    /** How far the host's clock is ahead of this one, in ms. */
    this.ahead = 0;
  }

  /** The token that opens the public door, where there is one. */
  set token(token) {
    this.#token = token;
    this.#unlocked.splice(0).forEach((go) => go());
  }

  get token() {
    return this.#token;
  }

  /** The token that opens the operator's door. */
  set adminToken(token) {
    this.#adminToken = token || null;
  }

  get hasAdminToken() {
    return this.#adminToken !== null;
  }

  /** The host's time, in ms. */
  now() {
    return Date.now() + this.ahead;
  }

  url(path) {
    return new URL(path.slice(1), this.base);
  }

  /**
   * Calls once.
   * @returns what was answered; JSON is read
   * @throws {Refusal|Unreachable}
   */
  async call(path, body, { asAdmin = false, ...how } = {}) {
    const response = await this.#asked(path, body, asAdmin ? this.#adminToken : this.#token, how);
    const answer = await response.text().catch(() => null);
    if (answer === null) throw new Unreachable("the answer broke off");
    const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
    if (response.ok && !isJson) return answer;
    let read;
    try {
      read = JSON.parse(answer);
    } catch {
      // A proxy's page, most likely, while what is behind it is away.
      throw new Unreachable(`status ${response.status} without an answer that can be read`);
    }
    if (response.ok) return read;
    throw refusal(response, read);
  }

  async #asked(path, body, token, { method = "POST", key, cache = "no-store" }) {
    const headers = new Headers();
    if (body !== undefined) headers.set("Content-Type", "application/json");
    if (key) headers.set("Idempotency-Key", key);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const asked = Date.now();
    const signal = AbortSignal.timeout(ANSWER_WITHIN);
    const request = { method, headers, body: JSON.stringify(body), signal, cache, credentials: "omit" };
    let response;
    try {
      response = await fetch(this.url(path), request);
    } catch {
      throw new Unreachable("there is no answer");
    }
    this.#compareClocks(response.headers.get("date"), asked, Date.now());
    return response;
  }

  /** The header tells whole seconds, so it says something only where the two are further apart than that. */
  #compareClocks(date, asked, answered) {
    const theirs = Date.parse(date ?? "");
    if (Number.isNaN(theirs) || answered - asked > 2_000) return;
    const ahead = theirs + 500 - (asked + answered) / 2;
    this.ahead = Math.abs(ahead) > 1_500 ? ahead : 0;
  }

  /**
   * Calls until there is an answer that stands: as often as it takes, so only what may be asked for twice.
   * `onWait` hears of every wait; a refusal of a kind in `stands` stands, although it may pass.
   * @throws {Refusal}
   */
  async insist(path, body, { onWait = () => {}, stands = [], isOff = () => false, ...how } = {}) {
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.call(path, body, how);
      } catch (error) {
        if (error.kind === "Unauthorized" && !how.asAdmin) await this.unlocked();
        else if (!isOff() && (error instanceof Unreachable || (error.isPassing && !stands.includes(error.kind)))) {
          const wait = Math.max(backoff(Math.min(failures, 3)), error.retryAfter ?? 0);
          onWait(error, wait);
          await sleep(wait);
        } else throw error;
      }
    }
  }

  /** Asks for a token, and waits until there is another one. */
  unlocked() {
    this.onLocked();
    return new Promise((go) => this.#unlocked.push(go));
  }
}

/** What Restate's ingress has at the end of a message, in brackets: the ticket, the version, where the money is, the kind. */
const AT_THE_END = /^(.*?)(?: \((?=ticket |reserved until |version |money )(?:ticket ([^ ,()]+))?[^()]*?(?:money ([A-Za-z]+))?\))?(?: \[([A-Za-z]+)\])?$/s;

/** Reads an error. */
function refusal(response, body) {
  const said = String(body?.message ?? "");
  const [, text, ticket, money, bracketed] = AT_THE_END.exec(said);
  const kind = body?.kind ?? bracketed ?? (response.status >= 500 ? "Overloaded" : "");
  const retryAfter = 1_000 * Math.min(30, Number(response.headers.get("retry-after")) || 0);
  const more = { retryAfter, ticketId: body?.ticketId ?? ticket, money: body?.money ?? money };
  return new Refusal(response.status, String(kind), text || `status ${response.status}`, more);
}

/** An id, for a path. */
export const part = encodeURIComponent;
