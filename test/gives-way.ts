/**
 * Lowers the priority of the process that loads it and of all that it starts: for tests that only compute,
 * beside hosts that have to be on time.
 */

import { setPriority } from "node:os";

setPriority(5);
