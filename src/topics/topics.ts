/** All topics by their names, each with the command that finds it. */

import { CHECK } from "./check.ts";
import { DIGESTS } from "./digests.ts";
import { DOCTOR } from "./doctor.ts";
import type { Topic } from "./topic.ts";

export interface FoundTopic extends Topic {
  readonly by: "doctor" | "check";
}

/** A name has one meaning: no name is in two of the tables. */
export const TOPICS: ReadonlyMap<string, FoundTopic> = new Map(
  (
    [
      ["doctor", DOCTOR],
      ["doctor", DIGESTS],
      ["check", CHECK],
    ] as const
  ).flatMap(([by, topics]) => Object.entries<Topic>(topics).map(([name, topic]) => [name, { ...topic, by }])),
);
