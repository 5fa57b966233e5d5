/** A topic: what `carpctl help` and the manual say about a finding. The other files of this room hold the words. */

/** An error will not work; a warning is worth a look; what is unknown cannot be examined by this user or process. */
export type Level = "error" | "warning" | "unknown";

export interface Topic {
  readonly level: Level;
  readonly meaning: string;
  /** How to see it for oneself; absent: in the line that the finding names. */
  readonly see?: string;
  /** What to do about it. */
  readonly todo: string;
}

/** The topics of one kind of subject, below a title. */
export interface TopicGroup {
  readonly title: string;
  /** The command that finds them. */
  readonly by: "doctor" | "check";
  readonly topics: Readonly<Record<string, Topic>>;
}
