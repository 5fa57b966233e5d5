/** Loaded before a test that only computes: it gives way to what has to be on time, and so does all that it starts. */

import { setPriority } from "node:os";

setPriority(5);
