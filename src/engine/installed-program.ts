/** The name that this program was started by, under which an upgrade installs the next version. */

import { resolve } from "node:path";

/**
 * Absolute, because a relative name means nothing after a change of directory; undefined: it is not known.
 */
export const installedProgram =
  process.env.CARPCTL_ARGV0 === undefined ? undefined : resolve(process.env.CARPCTL_ARGV0);
