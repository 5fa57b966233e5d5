/**
 * Demotion by service checks: each check that fails adds its part to the demotion of the host, or of an interface
 * group.
 */

/** A service check that demotes. */
export interface FailedCheck {
  /** The path of its file, which tells it from others of its name. */
  readonly file: string;
  readonly name: string;
  readonly by: number;
  /** The interface group that it demotes; absent: the host. */
  readonly group?: string | undefined;
  /** It is run by itself, and not only on request. */
  readonly isScheduled?: boolean | undefined;
}

/**
 * The most that failed services demote by, and a check that says nothing else: far above every other demotion, so that
 * it is the same for any number of them.
 */
export const MOST_BY_SERVICES = 2 ** 20;

export function namesOf(failed: readonly FailedCheck[], group: string | undefined): string {
  return failed
    .filter((each) => each.group === group)
    .map(({ name }) => name)
    .join(", ");
}

/** @param group undefined: the host */
export function demotionBy(failed: readonly FailedCheck[], group: string | undefined): number {
  const parts = failed.filter((each) => each.group === group).map(({ by }) => by);
  return Math.min(
    MOST_BY_SERVICES,
    parts.reduce((sum, by) => sum + by, 0),
  );
}

/** The groups that are demoted, with their counts. */
export function groupDemotions(failed: readonly FailedCheck[]): ReadonlyMap<string, number> {
  const groups = new Set(failed.flatMap(({ group }) => group ?? []));
  return new Map([...groups].map((group) => [group, demotionBy(failed, group)]));
}
