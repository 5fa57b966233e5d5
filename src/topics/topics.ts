/** All topics, in the groups and the order in which help and the manual list them. */

import { CARPDEVS } from "./carpdevs.ts";
import { CHECK } from "./check.ts";
import { CONNECTIONS } from "./connections.ts";
import { DIGESTS } from "./digests.ts";
import { HOST } from "./host.ts";
import { SENDING, SERVING } from "./interfaces.ts";
import { SEGMENT } from "./segment.ts";
import type { Topic, TopicGroup } from "./topic.ts";

export const GROUPS: readonly TopicGroup[] = [
  { title: "The host and its engine", by: "doctor", topics: HOST },
  { title: "Carpdevs", by: "doctor", topics: CARPDEVS },
  { title: "Interfaces that cannot serve", by: "doctor", topics: SERVING },
  { title: "Interfaces and what they send", by: "doctor", topics: SENDING },
  { title: "Other hosts on the segment", by: "doctor", topics: SEGMENT },
  { title: "Wrong digests", by: "doctor", topics: DIGESTS },
  { title: "States of connections", by: "doctor", topics: CONNECTIONS },
  { title: "Files of several hosts", by: "check", topics: CHECK },
];

export interface NamedTopic extends Topic {
  readonly name: string;
  readonly by: TopicGroup["by"];
}

/** A name has one meaning: no name is in two of the groups. */
export const TOPICS: ReadonlyMap<string, NamedTopic> = new Map(
  GROUPS.flatMap(({ by, topics }) =>
    Object.entries(topics).map(([name, topic]) => [name, { name, by, ...topic }] as const),
  ),
);
