/** A topic: what `carpctl help` and the manual say about a finding. The other files of this room hold the words. */

/** An error will not work; a warning is worth a look; what is unknown cannot be examined by this user or process. */
export type Level = "error" | "warning" | "unknown";

export interface Topic {
  readonly level: Level;
  readonly meaning: string;
}
