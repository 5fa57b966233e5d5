/**
 * Commands of a user, as plain data, and the configuration that they add up to. Each value is in range
 * already (the schema of control messages checks it); commands.ts and interface/reconfigure.ts check whether
 * values fit together.
 */

import type { SavedWindow } from "./counters/counter-book.ts";
import type { InterfaceChange, InterfaceConfiguration } from "./interface/configuration.ts";
import type { SavedGrace } from "./interface/grace.ts";
import type { FailedCheck } from "./service-demotion.ts";
import type { NamedDemotion, UnitDemotion } from "./view.ts";

/** One write to a sysctl variable. `value` is the number as written: a relative variable adds it. */
export interface SysctlWrite {
  readonly name: string;
  readonly value: number;
}

export interface Replacement {
  readonly name: string;
  readonly change: InterfaceChange;
}

export type Command =
  /** Creates an interface. Without a name: the next free carpN. */
  | { readonly kind: "create"; readonly name?: string | undefined }
  | { readonly kind: "destroy"; readonly name: string }
  /** Changes an interface, and creates it when it does not exist. */
  | {
      readonly kind: "change";
      readonly name: string;
      readonly change: InterfaceChange;
      /**
       * It comes from a configuration file, as every `replace` does: a carpdev that is not there is waited for, and one
       * that has a shared address itself is told of.
       */
      readonly isFromFile?: boolean | undefined;
      /** Refuses the change of an interface that exists. */
      readonly create?: boolean | undefined;
    }
  /**
   * Changes the interface that has the change's vhid on this carpdev, and creates the next free one when there is
   * none. With its last address the interface is destroyed. Without a vhid only addresses may be removed.
   */
  | { readonly kind: "change-on"; readonly carpdev: string; readonly change: InterfaceChange }
  /** Resets an interface to the defaults and applies the change. Creates it when it does not exist. */
  | {
      readonly kind: "replace";
      readonly name: string;
      readonly change: InterfaceChange;
      /** Changes nothing: reports whether the command would change anything, or why it would be refused. */
      readonly dryRun?: boolean | undefined;
    }
  /** Replaces several interfaces together, each once; refuses each conflicting one by itself. */
  | { readonly kind: "replace-all"; readonly replacements: readonly Replacement[] }
  /** Adds to the carp demote count of a group; never below 0. */
  | { readonly kind: "demote-group"; readonly group: string; readonly by: number }
  /** Performs several writes in this order, all of them or none. */
  | { readonly kind: "set-sysctl"; readonly writes: readonly SysctlWrite[] }
  | DemotionCommand;

/** Changes of the named parts of `net.inet.carp.demotion`. */
export type DemotionCommand =
  /** Sets this reason's part of the counter, replacing its former one. */
  | { readonly kind: "demote"; readonly reason: string; readonly by: number }
  | { readonly kind: "promote"; readonly reason: string }
  /** Sets by how much this unit demotes while it is not active, and whether it is. */
  | ({ readonly kind: "demote-unit" } & UnitDemotion)
  | { readonly kind: "promote-unit"; readonly unit: string }
  /** Units that became active or inactive; units that do not demote are passed over. */
  | {
      readonly kind: "unit-states";
      readonly states: readonly { readonly unit: string; readonly active: boolean }[];
    }
  | { readonly kind: "maintenance"; readonly on: boolean }
  /** Reports the outcome of the service checks: all that demote, in the order of their names. */
  | { readonly kind: "services"; readonly failed: readonly FailedCheck[] };

/** The configuration of a host: one engine saves it, the next one restores it. */
export interface HostConfiguration {
  readonly interfaces: readonly InterfaceConfiguration[];
  readonly sysctl: readonly { readonly name: string; readonly value: number }[];
  /** Groups with a carp demote count above 0, without the part that faults add. */
  readonly groups: readonly { readonly name: string; readonly carpDemoteCount: number }[];
  /** The named demotions. Their sum comes on top of `net.inet.carp.demotion` among the variables. */
  readonly reasons: readonly NamedDemotion[];
  /** Units that demote; absent: there are none. Each inactive unit adds to the demotion. */
  readonly units?: readonly UnitDemotion[] | undefined;
  /** The service checks that demote; absent: none does. What they demote the host by is among the reasons. */
  readonly failedChecks?: readonly FailedCheck[] | undefined;
  /** What the virtual hosts know of each other's counters, to refuse recorded advertisements. */
  readonly windows?: readonly SavedWindow[] | undefined;
  /** The virtual hosts whose digests cover link-local addresses, because peers' do. */
  readonly signsLinkLocals?: readonly { readonly interface: string; readonly vhid: number }[] | undefined;
  /** The passes and addresses of before a change that are still believed. Never for a client. */
  readonly graces?: readonly SavedGrace[] | undefined;
}
