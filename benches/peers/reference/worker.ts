// The steps as a Worker: bundled with the SDK for Workers in place of the one for Node.

import * as restate from "@restatedev/restate-sdk-cloudflare-workers/fetch";

import { services } from "./services.js";

export default { fetch: restate.createEndpointHandler({ services }) };
