// The steps as a service of their own, on Node.

import * as restate from "@restatedev/restate-sdk";

import { services } from "./services.js";

restate.serve({ services, port: Number(process.env.PORT ?? 9080) });
