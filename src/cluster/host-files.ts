/** The files of one host as the comparison takes them: read by ifconfig's grammar already, with the lines of their words. */

import type { ParameterLine } from "../config/hostname-file.ts";
import type { SysctlSetting } from "../config/sysctl-file.ts";
import type { InterfaceChange } from "../core/interface/configuration.ts";

/** A file of one interface that could be read. */
export interface InterfaceFile {
  readonly interface: string;
  readonly path: string;
  /** All parameters of the file together. */
  readonly change: InterfaceChange;
  readonly lines: readonly ParameterLine[];
  /** False: the pass is not in the file, and the file that has it was not read. */
  readonly passIsKnown: boolean;
}

/** What the reader of a file says about it. */
export interface FileComplaint {
  readonly path: string;
  readonly line?: number | undefined;
  readonly message: string;
  /** An error: nothing of the file is used. */
  readonly isError: boolean;
}

export interface HostFiles {
  readonly name: string;
  /** The directory, or the file that `dump` has made. */
  readonly path: string;
  /** In numeric order. */
  readonly interfaces: readonly InterfaceFile[];
  /** The file of the variables. */
  readonly variablesPath: string;
  /** undefined: the file could not be read. */
  readonly settings: readonly SysctlSetting[] | undefined;
  readonly complaints: readonly FileComplaint[];
}
