/**
 * Shows carp interfaces and their groups, as text or JSON. Every other form of ifconfig is in ifconfig.ts: what scripts
 * ask for most must load nothing of it.
 */

import type { Connection } from "../../control/client.ts";
import type { GroupView, InterfaceView } from "../../control/messages.ts";
import { done, json, type Outcome } from "../outcome.ts";
import { groupText, interfaceText } from "../show/ifconfig.ts";
import { groupJson, interfaceJson, packetsByInterface } from "../show/json.ts";

/**
 * The interface of that name, the members of the group of that name, or the interfaces on that carpdev; without a name
 * every interface. Undefined: there is none.
 */
export async function showInterfaces(
  engine: Connection,
  name: string | undefined,
  asJson: boolean,
): Promise<Outcome | undefined> {
  const { interfaces: views, nowUs } = await engine.call("interfaces", {});
  const wanted = name === undefined ? views : await named(engine, views, name);
  if (wanted === undefined) return undefined;
  if (!asJson) return done(wanted.map(interfaceText).join(""));
  const packets = packetsByInterface(await engine.call("packets", {}));
  return json({ interfaces: wanted.map((view) => interfaceJson(view, nowUs, packets.get(view.name))) });
}

/** Undefined: there is no such group. */
export async function showGroup(
  engine: Connection,
  name: string,
  asJson: boolean,
): Promise<Outcome | undefined> {
  const group = await groupNamed(engine, name);
  if (group === undefined) return undefined;
  return asJson ? json({ groups: [groupJson(group)] }) : done(groupText(group));
}

async function named(
  engine: Connection,
  views: readonly InterfaceView[],
  name: string,
): Promise<readonly InterfaceView[] | undefined> {
  const own = views.filter((view) => view.name === name);
  if (own.length > 0) return own;
  const group = await groupNamed(engine, name);
  if (group !== undefined) {
    const members = new Set(group.interfaces);
    return views.filter((view) => members.has(view.name));
  }
  const on = views.filter((view) => view.carpdev === name);
  return on.length > 0 ? on : undefined;
}

async function groupNamed(engine: Connection, name: string): Promise<GroupView | undefined> {
  return (await engine.call("groups", {})).find((group) => group.name === name);
}
