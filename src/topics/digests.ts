/** The topics of wrong digests: one for each cause that the engine finds out. */

import type { DigestCause } from "../core/digests/question.ts";
import type { Topic } from "./topic.ts";

/** The name of the topic of a cause. */
export type DigestKind = `digest-${DigestCause}`;

const level = "error";

export const DIGESTS = {
  "digest-no-pass": { level, meaning: "The other host has no pass." },
  "digest-pass-line-end": { level, meaning: "The other host's pass ends in a line end." },
  "digest-pass-blank": { level, meaning: "One of the two passes has a blank before or behind it." },
  "digest-pass-quoted": { level, meaning: "The other host's pass has quotes around it." },
  "digest-pass-length": { level, meaning: "The other host uses more than 19 bytes of the pass." },
  "digest-pass-earlier": { level, meaning: "The other host has the pass that this host had before." },
  "digest-pass-of-other-interface": { level, meaning: "The pass is that of another interface here." },
  "digest-address-missing": { level, meaning: "The other host lacks an address." },
  "digest-family-missing": { level, meaning: "The other host has addresses of one family alone." },
  "digest-address-extra": { level, meaning: "The other host has an address more." },
  "digest-address-different": { level, meaning: "The other host has one address in place of another." },
  "digest-addresses-of-other-interface": {
    level,
    meaning: "The addresses are those of another interface here.",
  },
  "digest-lladdr": { level, meaning: "The lladdr differs." },
  "digest-vhid": { level, meaning: "The vhid differs." },
  "digest-unknown": { level, meaning: "Nothing that was tried fits." },
} as const satisfies Readonly<Record<DigestKind, Topic>>;
