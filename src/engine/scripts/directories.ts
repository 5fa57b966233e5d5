/**
 * The directories of hooks and of service checks, and what every script has in its environment, both from the
 * environment that the runner has from its start. The engine
 * uses them only to know whether there is anything to run.
 */

import { join, resolve } from "node:path";

/** The directory in which packages written for another carp system install their checks. */
const OTHER_CHECKS = "/usr/local/etc/rc.carp_service_status.d";

export interface ScriptDirectories {
  readonly hooks: readonly string[];
  readonly checks: readonly string[];
}

/** @param environment CARP_ETC_DIR, and CARP_SERVICE_STATUS_PATH where it is set */
export function directoriesOf(environment: NodeJS.ProcessEnv): ScriptDirectories {
  const { CARP_ETC_DIR: etcDir = "/etc", CARP_SERVICE_STATUS_PATH: path } = environment;
  const carp = resolve(etcDir, "carp");
  const checks = (path || `${join(carp, "service_status.d")}:${OTHER_CHECKS}`)
    .split(":")
    .filter((each) => each !== "")
    .map((each) => resolve(each));
  return { hooks: [join(carp, "hooks.d")], checks };
}

/** The environment of every script; a hook's has the change besides. */
export function commonEnvironment({
  CARP_RUN_DIR = "",
  CARP_ETC_DIR = "",
}: NodeJS.ProcessEnv): Record<string, string> {
  return { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C", CARP_RUN_DIR, CARP_ETC_DIR };
}
