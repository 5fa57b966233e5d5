/**
 * The sysctl variables, for the commands: help, completion and what is whose are known without asking an
 * engine.
 */

export { SYSCTL_VARIABLES, type SysctlVariable } from "../core/sysctl.ts";
