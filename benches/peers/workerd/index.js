// What workerd alone costs here: a Worker that does nothing, and one object that counts in SQL.
import { DurableObject } from "cloudflare:workers";

export class One extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS count (one INTEGER PRIMARY KEY, n INTEGER)");
  }

  async fetch(request) {
    await request.arrayBuffer();
    const rows = this.ctx.storage.sql.exec("SELECT n FROM count").toArray();
    const n = (rows[0]?.n ?? 0) + 1;
    this.ctx.storage.sql.exec("INSERT OR REPLACE INTO count (one, n) VALUES (1, ?)", n);
    return new Response(String(n));
  }
}

export default {
  async fetch(request, env) {
    const body = await request.arrayBuffer();
    if (new URL(request.url).pathname === "/one") {
      return env.ONE.get(env.ONE.idFromName("one")).fetch("https://one/", { method: "POST", body });
    }
    return new Response("ok");
  },
};
