// What the first proof of concept did, step by step, on the official SDK: reserve, tell the map and wait for that, pay,
// confirm, tell the map and wait for that, write an e-mail. Written anew for this comparison; delays are left out.
//
// It knew orders of one seat, and one map. Here an order of more does its steps for one seat after the other, as its code
// would in a loop: reserves and tells the map of each, pays once, confirms and tells the map of each, writes one e-mail.
// A ticket `arena:12` is of the map `arena`; one without a colon is of the only map there was, `global`.

import * as restate from "@restatedev/restate-sdk";

type Status = "AVAILABLE" | "RESERVED" | "SOLD";

interface TicketState {
  status: Status;
  reservedBy: string | null;
  reservedUntil: number | null;
}

const NOBODYS: TicketState = { status: "AVAILABLE", reservedBy: null, reservedUntil: null };

const HOLD_MS = 15 * 60 * 1000;

const ticket = restate.object({
  name: "Ticket",
  handlers: {
    reserve: async (ctx: restate.ObjectContext, userId: string): Promise<boolean> => {
      const state = (await ctx.get<TicketState>("state")) ?? NOBODYS;
      if (state.status === "SOLD") {
        throw new restate.TerminalError("Ticket already sold", { errorCode: 409 });
      }
      if (state.status === "RESERVED" && state.reservedBy !== userId && (state.reservedUntil ?? 0) > Date.now()) {
        throw new restate.TerminalError("Ticket is currently reserved", { errorCode: 409 });
      }
      ctx.set("state", { status: "RESERVED", reservedBy: userId, reservedUntil: Date.now() + HOLD_MS });
      return true;
    },
    confirm: async (ctx: restate.ObjectContext): Promise<boolean> => {
      const state = (await ctx.get<TicketState>("state")) ?? NOBODYS;
      ctx.set("state", { ...state, status: "SOLD", reservedUntil: null });
      return true;
    },
    release: async (ctx: restate.ObjectContext): Promise<boolean> => {
      ctx.set("state", NOBODYS);
      return true;
    },
    get: restate.handlers.object.shared(async (ctx: restate.ObjectSharedContext): Promise<TicketState> => {
      return (await ctx.get<TicketState>("state")) ?? NOBODYS;
    }),
  },
});

const seatMap = restate.object({
  name: "SeatMap",
  handlers: {
    set: async (ctx: restate.ObjectContext, update: { seatId: string; status: Status }): Promise<void> => {
      const map = (await ctx.get<Record<string, Status>>("map")) ?? {};
      map[update.seatId] = update.status;
      ctx.set("map", map);
    },
    // Sets the scene of a benchmark: a map that lists its seats, every third of them sold.
    publish: async (ctx: restate.ObjectContext, seats: number): Promise<void> => {
      const map: Record<string, Status> = {};
      for (let seat = 0; seat < seats; seat++) {
        map[`${ctx.key}:${seat}`] = seat % 3 === 0 ? "SOLD" : "AVAILABLE";
      }
      ctx.set("map", map);
    },
    get: restate.handlers.object.shared(async (ctx: restate.ObjectSharedContext) => {
      return (await ctx.get<Record<string, Status>>("map")) ?? {};
    }),
  },
});

interface Order {
  ticketId?: string;
  ticketIds?: string[];
  userId: string;
  paymentMethodId?: string;
}

const mapOf = (ticketId: string): string => {
  const end = ticketId.lastIndexOf(":");
  return end === -1 ? "global" : ticketId.slice(0, end);
};

const checkout = restate.service({
  name: "Checkout",
  handlers: {
    process: async (ctx: restate.Context, order: Order): Promise<string> => {
      const seats = order.ticketIds ?? (order.ticketId === undefined ? [] : [order.ticketId]);
      if (seats.length === 0) {
        throw new restate.TerminalError("No ticket", { errorCode: 400 });
      }
      const ticketOf = (id: string) => ctx.objectClient<typeof ticket>({ name: "Ticket" }, id);
      const tell = (seatId: string, status: Status) =>
        ctx.objectClient<typeof seatMap>({ name: "SeatMap" }, mapOf(seatId)).set({ seatId, status });
      for (const seat of seats) {
        await ticketOf(seat).reserve(order.userId);
        await tell(seat, "RESERVED");
      }
      try {
        await ctx.run("pay", () => {
          if (order.paymentMethodId === "card_decline") {
            throw new restate.TerminalError("Payment declined", { errorCode: 402 });
          }
          return { paid: true };
        });
      } catch (error) {
        for (const seat of seats) {
          await ticketOf(seat).release();
          await tell(seat, "AVAILABLE");
        }
        throw error;
      }
      for (const seat of seats) {
        await ticketOf(seat).confirm();
        await tell(seat, "SOLD");
      }
      await ctx.run("email", () => true);
      return "Booking Confirmed";
    },
  },
});

export const services = [ticket, seatMap, checkout];
