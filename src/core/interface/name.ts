/** The names of carp interfaces: their syntax and their numeric order. */

/** carpN, with no more digits than fit in a Linux device name. */
export const INTERFACE_NAME = /^carp(0|[1-9][0-9]{0,9})$/;

/** Compares two names in numeric order: carp2 before carp10. */
export function compareInterfaceNames(a: string, b: string): number {
  return Number(a.slice("carp".length)) - Number(b.slice("carp".length));
}
