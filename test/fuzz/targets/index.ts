/** Every fuzz target. */

import type { Target } from "../target.ts";
import { clusters } from "./clusters.ts";
import { commandLines } from "./command-lines.ts";
import { completion } from "./completion.ts";
import { controlClients } from "./control-clients.ts";
import { controlMessages } from "./control-messages.ts";
import { frames } from "./frames.ts";
import { hostnameFiles } from "./hostname-files.ts";
import { ifstatedFiles } from "./ifstated-files.ts";
import { netstartDirectories } from "./netstart.ts";
import { rtnetlink } from "./rtnetlink.ts";
import { runnerMessages } from "./runner-messages.ts";
import { runnerOrders } from "./runner-orders.ts";
import { runnerReports } from "./runner-reports.ts";
import { savedState } from "./saved-state.ts";
import { scriptHeads } from "./script-heads.ts";
import { wrongDigests } from "./wrong-digests.ts";

export const targets: readonly Target[] = [
  frames,
  wrongDigests,
  controlClients,
  controlMessages,
  savedState,
  commandLines,
  hostnameFiles,
  clusters,
  scriptHeads,
  ifstatedFiles,
  completion,
  netstartDirectories,
  runnerMessages,
  runnerOrders,
  runnerReports,
  rtnetlink,
];
