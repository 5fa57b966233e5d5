/**
 * `monitor`: what happens, a line each, as the engine tells it. When the engine goes it waits for the next one and
 * says what has changed meanwhile. How an event reads is in event-text.ts.
 */

import type { Connection } from "../control/client.ts";
import type { HostEvent, InterfaceView } from "../control/messages.ts";
import { eventJson, eventText, type Shown } from "./event-text.ts";
import { type Lasting, pause } from "./lasting.ts";
import { done, type Outcome } from "./outcome.ts";
import type { Setting } from "./setting.ts";

const AGAIN_MS = 250;

export async function runMonitor(setting: Setting): Promise<Outcome> {
  const picture = new Picture();
  const lasting = { current: undefined as Lasting | undefined };
  const print = (shown: Shown) => {
    const text = setting.options.json ? `${JSON.stringify(eventJson(shown))}\n` : eventText(shown, setting);
    lasting.current?.write(text);
  };
  const tell = (event: Shown["event"]) => print({ atMs: Date.now(), times: 1, event });
  const follow = () =>
    setting.connect({
      told: (told) => {
        picture.apply(told.event);
        print(told);
      },
    });

  // Where there is no engine to begin with, that is an answer.
  let engine = await follow();
  lasting.current = setting.goOn();
  const { ended } = lasting.current;
  ended.addEventListener("abort", () => engine.close());
  for (let again = false; !ended.aborted; again = true) {
    try {
      const { version, pid } = await engine.call("monitor", {});
      tell({ kind: again ? "engine-back" : "following", version, pid });
      const { interfaces } = await engine.call("interfaces", {});
      for (const event of picture.become(interfaces)) tell(event);
    } catch (error) {
      // A first engine that does not know what is asked will not learn it.
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
      // It has not been started yet.
    }
  }
  return undefined;
}

/** The states as they are known from what was told. */
class Picture {
  #interfaces: Map<string, Map<number, "INIT" | "BACKUP" | "MASTER">> | undefined;

  apply(event: HostEvent): void {
    if (event.kind === "destroyed") this.#interfaces?.delete(event.interface);
    if (event.kind === "created") this.#interfaces?.set(event.interface, new Map());
    if (event.kind === "transition") this.#interfaces?.get(event.interface)?.set(event.vhid, event.to);
  }

  /** @returns what was not told of; nothing the first time */
  become(interfaces: readonly InterfaceView[]): HostEvent[] {
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
