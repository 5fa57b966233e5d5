/**
 * Reasons: why an interface does not run and why a virtual host changed its state, as typed values for the
 * engine, the simulator and the tests, and the text that people read for each. The texts are part of the
 * interface: scripts may match them.
 */

/** A condition that keeps a carp interface from running. */
export type Obstacle =
  | { readonly kind: "down" | "no-vhid" | "no-carpdev" | "no-address" }
  | { readonly kind: "carpdev-missing" | "carpdev-down" | "no-carrier"; readonly carpdev: string }
  /** Several nodes on a host that cannot filter packets, for the reason `why`. */
  | { readonly kind: "no-balancing"; readonly why: string }
  /** A part of it that the kernel does not have: its device, filter or socket. */
  | { readonly kind: "not-in-place"; readonly what: Problem };

/** A part of an interface that is not as it should be. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly text: string;
}

export type ProblemKind =
  | "device-incomplete"
  | "leases-not-enforced"
  | "group-mac-refused"
  | "cannot-listen"
  | "address-of-carpdev";

/** The name of an obstacle that is none by choice; that of a part not in place is the problem's. */
export type NotRunningKind = Exclude<Obstacle["kind"], "down" | "not-in-place"> | ProblemKind;

/** The rule or event that changed a virtual host's state. With an obstacle: the interface no longer runs. */
export type TransitionReason =
  | { readonly kind: keyof typeof TEXTS }
  | { readonly kind: "not-running"; readonly obstacle: Obstacle };

const TEXTS = {
  "interface-runs": "the interface runs",
  "lease-in-force": "its lease is in force",
  "master-silent": "the master is silent",
  "preempts-slower": "preempting a slower master",
  "master-demoted": "the master is demoted",
  "master-left": "the master left",
  "master-too-slow": "the master is too slow",
  forced: "forced",
  "other-less-demoted": "a master is less demoted",
  "other-more-frequent": "a master advertises more often",
  "other-has-precedence": "an equal master has precedence",
  "lease-expired": "no advertisement has left in time",
  "successor-heard": "a successor is heard",
  "identity-changed": "its configuration changed",
  "taken-down": "it is down",
  destroyed: "it is destroyed",
} as const;

/** The text of a transition's reason, as events and traces show it. */
export function reasonText(reason: TransitionReason): string {
  return reason.kind === "not-running" ? obstacleText(reason.obstacle) : TEXTS[reason.kind];
}

/** The text of an obstacle, as commands show it. */
export function obstacleText(obstacle: Obstacle): string {
  switch (obstacle.kind) {
    case "down":
      return "it is down";
    case "no-vhid":
      return "no vhid is set";
    case "no-carpdev":
      return "no carpdev is set";
    case "no-address":
      return "no address is set";
    case "carpdev-missing":
      return `carpdev ${obstacle.carpdev} is missing`;
    case "carpdev-down":
      return `carpdev ${obstacle.carpdev} is down`;
    case "no-carrier":
      return `carpdev ${obstacle.carpdev} has no carrier`;
    case "no-balancing":
      return obstacle.why;
    case "not-in-place":
      return obstacle.what.text;
  }
}

export function obstacleKind(obstacle: Obstacle): NotRunningKind | undefined {
  if (obstacle.kind === "down") return undefined;
  return obstacle.kind === "not-in-place" ? obstacle.what.kind : obstacle.kind;
}
