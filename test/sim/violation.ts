/** The invariants of every run, by name, and the error that a check throws when one does not hold. */

export const INVARIANTS = {
  "one master":
    "A segment without faults for the largest master-down time and one interval has exactly one MASTER, with a lease, of every virtual host.",
  "no two leases":
    "Two hosts that hear each other hold leases for one virtual host no longer than two flights of an advertisement, or, when a partition between them has just healed, one interval; and no host takes over for silence while a lease is in force whose advertisement it has heard.",
  "bounded lease":
    "A lease is held by a MASTER only, and no longer than its last advertisement that left allows.",
  serves:
    "A host that cannot answer for a virtual host, because a part of it is not in place, is MASTER of it no longer than a master-down time beside a host that can; and soon after its fault each part is in place.",
  "one accepts":
    "While each node of a balanced interface has one MASTER, every packet is accepted by exactly one host.",
  cause: "Every change of state names a rule, and that rule's conditions are met.",
  "counters grow":
    "Each advertisement of a virtual host has a greater counter than all before it, over restarts of its engine and changes of its clock.",
  "no effect": "A packet that is not acceptable changes nothing, and no input makes the engine fail.",
} as const;

export type Invariant = keyof typeof INVARIANTS;

export class Violation extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, what: string) {
    super(what);
    this.invariant = invariant;
  }
}
