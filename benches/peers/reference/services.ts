// What the first proof of concept did, step by step, on the official SDK: reserve, tell the map and wait for that, pay,
// confirm, tell the map and wait for that, write an e-mail. Written anew for this comparison; delays are left out.

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
    get: restate.handlers.object.shared(async (ctx: restate.ObjectSharedContext) => {
      return (await ctx.get<Record<string, Status>>("map")) ?? {};
    }),
  },
});

interface Order {
  ticketId: string;
  userId: string;
  paymentMethodId?: string;
}

const checkout = restate.service({
  name: "Checkout",
  handlers: {
    process: async (ctx: restate.Context, order: Order): Promise<string> => {
      const seat = ctx.objectClient<typeof ticket>({ name: "Ticket" }, order.ticketId);
      const map = ctx.objectClient<typeof seatMap>({ name: "SeatMap" }, "global");
      await seat.reserve(order.userId);
      await map.set({ seatId: order.ticketId, status: "RESERVED" });
      try {
        await ctx.run("pay", () => {
          if (order.paymentMethodId === "card_decline") {
            throw new restate.TerminalError("Payment declined", { errorCode: 402 });
          }
          return { paid: true };
        });
      } catch (error) {
        await seat.release();
        await map.set({ seatId: order.ticketId, status: "AVAILABLE" });
        throw error;
      }
      await seat.confirm();
      await map.set({ seatId: order.ticketId, status: "SOLD" });
      await ctx.run("email", () => true);
      return "Booking Confirmed";
    },
  },
});

export const services = [ticket, seatMap, checkout];
