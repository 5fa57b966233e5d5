/**
 * `monitor`: prints a line for each event of the engine. When the engine goes it waits for the next one and
 * prints the changes in between. The text of an event is made in show/event.ts.
 */

import type { Connection } from "../../control/client.ts";
import { jsonLine } from "../../control/framing.ts";
import type { HostEvent, InterfaceView } from "../../control/messages.ts";
import type { CommandContext } from "../context.ts";
import { type LongRunning, pause } from "../long-running.ts";
import { done, type Outcome } from "../outcome.ts";
import { eventJson, eventText, type TimedEvent } from "../show/event.ts";

const AGAIN_MS = 250;

export async function runMonitor(context: CommandContext): Promise<Outcome> {
  const known = new KnownStates();
  const longRunning = { current: undefined as LongRunning | undefined };
  const print = (event: TimedEvent) => {
    const text = context.options.json ? jsonLine(eventJson(event)) : eventText(event, context);
    longRunning.current?.write(text);
  };
  const tell = (event: TimedEvent["event"]) => print({ atMs: Date.now(), times: 1, event });
  const follow = () =>
    context.connect({
      onEvent: (notification) => {
        known.apply(notification.event);
        print(notification);
      },
    });

  // Without an engine at the start the command is refused.
  let engine = await follow();
  longRunning.current = context.runLong();
  const { ended } = longRunning.current;
  ended.addEventListener("abort", () => engine.close());
  for (let again = false; !ended.aborted; again = true) {
    try {
      const { version, pid } = await engine.call("monitor", {});
      tell({ kind: again ? "engine-back" : "following", version, pid });
      const { interfaces } = await engine.call("interfaces", {});
      for (const event of known.replace(interfaces)) tell(event);
    } catch (error) {
      // A first engine that refuses the method will not accept it later.
      if (!again && !ended.aborted) throw error;
    }
    await engine.closed;
    if (ended.aborted) break;
    tell({ kind: "engine-gone" });
    engine = (await next(follow, ended)) ?? engine;
  }
  return done();
}

/** The next engine that answers; undefined when the command ends first. */
async function next(follow: () => Promise<Connection>, ended: AbortSignal): Promise<Connection | undefined> {
  while (!ended.aborted) {
    await pause(AGAIN_MS, ended);
    try {
      return await follow();
    } catch {
      // No engine has been started yet.
    }
  }
  return undefined;
}

/** The states of all virtual hosts, as the events so far have them. */
class KnownStates {
  #interfaces: Map<string, Map<number, "INIT" | "BACKUP" | "MASTER">> | undefined;

  apply(event: HostEvent): void {
    if (event.kind === "destroyed") this.#interfaces?.delete(event.interface);
    if (event.kind === "created") this.#interfaces?.set(event.interface, new Map());
    if (event.kind === "transition") this.#interfaces?.get(event.interface)?.set(event.vhid, event.to);
  }

  /** Takes the states as the engine has them. @returns the changes that no event told; none the first time */
  replace(interfaces: readonly InterfaceView[]): HostEvent[] {
    const before = this.#interfaces;
    this.#interfaces = new Map(
      interfaces.map(({ name, nodes }) => [name, new Map(nodes.map(({ vhid, state }) => [vhid, state]))]),
    );
    if (before === undefined) return [];
    const reason = "while no engine told of it";
    const gone = [...before.keys()].filter((name) => this.#interfaces?.has(name) === false);
    const appeared = interfaces.filter(({ name }) => !before.has(name));
    return [
      ...gone.map((name) => ({ kind: "destroyed", interface: name }) as const),
      ...appeared.map(({ name }) => ({ kind: "created", interface: name }) as const),
      ...interfaces.flatMap(({ name, nodes, addresses }) =>
        nodes.flatMap(({ vhid, state: to }) => {
          const from = before.get(name)?.get(vhid) ?? "INIT";
          return from === to
            ? []
            : [{ kind: "transition", interface: name, vhid, from, to, reason, addresses } as const];
        }),
      ),
    ];
  }
}
