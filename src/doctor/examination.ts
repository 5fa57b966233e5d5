/**
 * Examines a host: reads facts through src/kernel and has host.ts and interfaces.ts judge them, for a running engine or
 * for a command where none runs. Devices are read one in a turn of the event loop, so that advertisements never wait
 * for more than one.
 */

import { setImmediate } from "node:timers/promises";
import type { Finding, InterfaceView, Packets } from "../control/messages.ts";
import type { Host } from "../core/host.ts";
import type { Instant } from "../core/model.ts";
import {
  type DeviceFacts,
  dataPathObstacle,
  deviceFacts,
  hostFacts,
  linkNeighbours,
  localAddresses,
  localMacs,
} from "../kernel/inspection.ts";
import type { Carrier, Overruled } from "../kernel/kernel.ts";
import { isSupervised } from "../kernel/process/notify.ts";
import { askLink } from "../kernel/sockets/neighbour-questions.ts";
import type { NeighbourAnswer } from "../protocol/neighbour-question.ts";
import { examineDemotion } from "./demotion.ts";
import { examineHost } from "./host.ts";
import { examineInterfaces } from "./interfaces.ts";
import { type ExaminedCheck, examineChecks } from "./service-checks.ts";
import { questionsAbout } from "./shared-addresses.ts";
import { passageQuestions } from "./virtual-mac-passage.ts";

/** The part of a running engine that the examination reads. */
export interface ExaminedEngine {
  readonly host: Pick<
    Host,
    | "demotion"
    | "failedChecks"
    | "groups"
    | "interfaces"
    | "link"
    | "notSaved"
    | "otherGroups"
    | "sysctl"
    | "unfitLink"
    | "virtualRouters"
  >;
  /** Why this host has no data path; undefined when it has one. */
  readonly dataPathObstacle: string | undefined;
  readonly scriptsDoNotRun: boolean;
  readonly checks: readonly ExaminedCheck[];
  now(): Instant;
  packets(): Packets[];
  unreached(peer: string): string | undefined;
  overruled(carpdev: string): Overruled;
  carriers(): (device: string) => readonly Carrier[];
}

/**
 * Examines the host of a running engine, from inside its namespaces and with its privileges.
 *
 * @param turn resolves when the examination may go on
 */
export async function examineAround(
  engine: ExaminedEngine,
  turn: () => Promise<void> = setImmediate,
): Promise<Finding[]> {
  const isOn = (name: string) => engine.host.sysctl(`net.inet.carp.${name}`)[0]?.value === 1;
  const host = examineHost({
    facts: hostFacts(),
    obstacle: engine.dataPathObstacle,
    scriptsDoNotRun: engine.scriptsDoNotRun,
    notSaved: engine.host.notSaved,
    isSupervised: isSupervised(),
    needsClock: isOn("strict_replay") || isOn("signed_header"),
  });
  const views = engine.host.interfaces();
  const answers = await askLinks(engine, views);
  const others = localAddresses();
  const names = new Set([
    ...views.flatMap(({ name, carpdev }) => (carpdev === undefined ? [name] : [name, carpdev])),
    ...others.map(({ device }) => device),
  ]);
  const devices = new Map<string, DeviceFacts | undefined>();
  for (const name of names) {
    devices.set(name, deviceFacts(name));
    await turn();
  }
  const ownMacs = new Set(localMacs());
  const now = engine.now();
  const { demotion, failedChecks } = engine.host;
  return [
    ...host,
    ...examineChecks(engine.checks),
    ...examineDemotion({ demotion, failedChecks, groups: engine.host.groups(), views }),
    ...examineInterfaces({
      nowUs: now.us,
      epochUs: now.epochUs,
      allow: isOn("allow"),
      views: engine.host.interfaces(),
      packets: engine.packets(),
      device: (name) => devices.get(name),
      mtu: (name) => engine.host.link(name)?.mtu,
      overruled: (name) => engine.overruled(name),
      carriers: engine.carriers(),
      local: others,
      unreached: (peer) => engine.unreached(peer),
      virtualRouters: engine.host.virtualRouters(),
      otherGroups: (name) => engine.host.otherGroups(name),
      before: (name) => views.find((view) => view.name === name),
      answers: (name) => answers.get(name) ?? [],
      ownMacs,
      unfit: (name) => engine.host.unfitLink(name),
      ownAddresses: (name) => engine.host.link(name)?.addresses ?? [],
    }),
  ];
}

/** Asks on each carpdev who has the shared addresses. @returns the answers, by the name of the carpdev */
async function askLinks(
  { host }: ExaminedEngine,
  views: readonly InterfaceView[],
): Promise<ReadonlyMap<string, readonly NeighbourAnswer[]>> {
  const on = Map.groupBy(views, ({ carpdev }) => host.link(carpdev ?? ""));
  const asked = [...on].map(async ([link, of]) =>
    link === undefined
      ? undefined
      : ([
          link.name,
          await askLink(link.index, [
            ...of.flatMap((view) => passageQuestions(view, link, linkNeighbours(link.name))),
            ...of.flatMap((view) => questionsAbout(view, link)),
          ]),
        ] as const),
  );
  return new Map((await Promise.all(asked)).filter((each) => each !== undefined));
}

/** Examines whether an engine could run on this host, where none does. */
export function examineInstead(): Finding[] {
  return examineHost({
    facts: hostFacts(),
    obstacle: dataPathObstacle(),
    scriptsDoNotRun: false,
    notSaved: undefined,
    isSupervised: undefined,
    needsClock: false,
  });
}
