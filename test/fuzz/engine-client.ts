/**
 * One user's process that fuzzes a running engine: conversations as the target control-clients has them, all
 * connections as this user. Started by engine.ts, as root, with one word, the JSON of a Task; becomes the user, and
 * exits with 1 and the input and the error when something does not hold.
 */

import fc from "fast-check";
import { inputsFor } from "./inputs.ts";
import { controlClients } from "./targets/control-clients.ts";
import { Conversation } from "./targets/conversation.ts";

export interface Task {
  readonly runDirectory: string;
  readonly socket: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Whether no other user can take its places. Root can take those of members of the group. */
  readonly keepsPlaces: boolean;
  /** Told to root alone. */
  readonly pass: string;
  readonly seed: number;
  readonly ms: number;
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? ""));

async function run({
  runDirectory,
  socket,
  uid,
  gid,
  groups,
  keepsPlaces,
  pass,
  seed,
  ms,
}: Task): Promise<void> {
  const inputs = inputsFor(controlClients);
  // Only root may go through the directories above.
  process.chdir(runDirectory);
  process.setgroups?.([...groups]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  const untilMs = performance.now() + ms;
  let conversations = 0;
  for (; performance.now() < untilMs; conversations++) {
    const [drawn = new Uint8Array(0)] = fc.sample(inputs, { seed: seed + conversations, numRuns: 1 });
    const input = withFewEvaluations(drawn);
    const peer = { uid, gid, groups };
    const conversation = new Conversation({
      path: socket,
      userAt: () => peer,
      opening: () => {},
      hasAccepted: () => true,
      keeps: () => keepsPlaces,
      tell: () => {},
    });
    try {
      await conversation.take(input);
      await conversation.end(peer);
      if (uid !== 0) conversation.assertSecret(pass);
    } catch (error) {
      const text = JSON.stringify(Buffer.from(input).toString("latin1"));
      console.log(`user ${uid}, seed ${seed + conversations}: ${text.slice(0, 2000)}:`, error);
      process.exit(1);
    } finally {
      await conversation.close();
    }
  }
  console.log(conversations);
}

/** An evaluation of service checks takes a second: hundreds of them, one after the other, would take minutes. */
function withFewEvaluations(input: Uint8Array): Uint8Array {
  const text = Buffer.from(input).toString("latin1");
  const few = text.replace(/^.\*.*$/gm, (line) => line.replaceAll("service-status", "demotion"));
  return Buffer.from(few, "latin1");
}
