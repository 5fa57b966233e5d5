/** By what name this program was started, and what is installed under that name by now is found. */

import { resolve } from "node:path";

/** As it was when we started: a relative name is no use from another directory. undefined: it is not known. */
export const installedProgram =
  process.env.CARPCTL_ARGV0 === undefined ? undefined : resolve(process.env.CARPCTL_ARGV0);
