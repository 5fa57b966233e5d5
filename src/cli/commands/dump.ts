/**
 * `dump`: prints the configuration as lines of hostname.carpN and of carp/sysctl.conf. netstart makes the
 * same configuration of these lines.
 */

import { fileOf } from "../../config/hostname-file.ts";
import { quotedWords } from "../../config/shell-words.ts";
import type { Configuration } from "../../control/messages.ts";
import { printable } from "../../control/printable.ts";
import { netmask } from "../../protocol/subnet.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, json, type Outcome, refused } from "../outcome.ts";
import { peersJson } from "../show/json.ts";

type Configured = Configuration["interfaces"][number];

/** A comment in place of a pass that the user may not see. */
export const PASS_OMITTED = "# pass omitted: only root may see it";

/** Prints one interface as its file, or all interfaces, each behind its file's name. */
export function runDump(name: string | undefined, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    const { interfaces } = await engine.call("configuration", {});
    const wanted = interfaces.filter((each) => name === undefined || each.name === name);
    if (name !== undefined && wanted.length === 0) return refused(`${printable(name)}: no such interface`);
    if (context.options.json) return json({ interfaces: wanted.map(interfaceJson) });
    const files = wanted.map((each) => {
      const text = hostnameLines(each).map((line) => `${line}\n`);
      return name === undefined ? [`# ${fileOf(each.name)}\n`, ...text].join("") : text.join("");
    });
    return done(files.join("\n"));
  });
}

/** Variables that differ from their defaults. The demotion counter is left out: a file cannot set it. */
export function runSysctlDump(context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    const { sysctl } = await engine.call("configuration", {});
    const set = sysctl.filter(
      ({ name, value, initial }) => value !== initial && name !== "net.inet.carp.demotion",
    );
    if (context.options.json) return json(set.map(({ name, value }) => ({ name, value })));
    return done(set.map(({ name, value }) => `${name}=${value}\n`).join(""));
  });
}

/** The file of the interface. */
export function hostnameLines(configured: Configured): string[] {
  const { pass, up, addresses } = configured;
  const lines = [...parameters(configured), ...addressLines(addresses)].map(quotedWords);
  if (pass === undefined) lines.unshift(PASS_OMITTED);
  // An address brings the interface up.
  if (!up) lines.push("down");
  else if (addresses.length === 0) lines.push("up");
  return lines;
}

/** The parameters that differ from a new interface's, in the lines in which a person would write them. */
function parameters(configured: Configured): string[][] {
  const {
    carpdev,
    nodes,
    advbase,
    pass,
    balancing,
    carppeer,
    carppeer6,
    lladdr,
    announce,
    preemptdelay,
    groups,
    description,
    mtu,
  } = configured;
  const word = (keyword: string, value: string | number | undefined) =>
    value === undefined ? [] : [keyword, String(value)];
  const [first, ...others] = nodes;
  const several = nodes.map(({ vhid, advskew }) => `${vhid}:${advskew}`).join();
  return [
    word("description", description),
    [
      ...word("carpdev", carpdev),
      ...(others.length > 0 ? word("carpnodes", several) : word("vhid", first?.vhid)),
      ...(balancing === "none" ? [] : word("balancing", balancing)),
      ...(advbase === 1 ? [] : word("advbase", advbase)),
      ...(others.length > 0 || !first?.advskew ? [] : word("advskew", first.advskew)),
      ...(pass ? word("pass", pass) : []),
    ],
    [...word("carppeer", carppeer?.join()), ...word("carppeer6", carppeer6?.join())],
    word("lladdr", lladdr),
    word("announce", announce),
    word("preemptdelay", preemptdelay),
    word("mtu", mtu),
    groups.includes("carp") ? [] : ["-group", "carp"],
    ...groups.filter((group) => group !== "carp").map((group) => ["group", group]),
  ].filter((line) => line.length > 0);
}

function addressLines(addresses: Configured["addresses"]): string[][] {
  const first = addresses.find(({ family }) => family === 4);
  return addresses.map((each) => {
    const { family, address, prefixLength, broadcast } = each;
    if (family === 6) return ["inet6", address, String(prefixLength)];
    const line = ["inet", ...(each === first ? [] : ["alias"]), address, netmask(prefixLength)];
    return broadcast === undefined ? line : [...line, broadcast];
  });
}

/** Every field is always there, null where nothing is set; no pass for a user who may not see it. */
function interfaceJson(configured: Configured) {
  return {
    name: configured.name,
    description: configured.description ?? null,
    up: configured.up,
    carpdev: configured.carpdev ?? null,
    nodes: configured.nodes,
    balancing: configured.balancing,
    advbase: configured.advbase,
    pass: configured.pass,
    ...peersJson(configured),
    lladdr: configured.lladdr ?? null,
    announce: configured.announce ?? null,
    preemptdelay: configured.preemptdelay ?? null,
    mtu: configured.mtu ?? null,
    groups: configured.groups,
    addresses: configured.addresses.map((each) => ({
      family: each.family,
      address: each.address,
      prefixLength: each.prefixLength,
      broadcast: each.broadcast ?? null,
    })),
  };
}
