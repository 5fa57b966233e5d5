/**
 * Bounds that every configuration in force must keep: those of carp(4), ifconfig(8) and Linux, written down a
 * second time, so that a schema with a wrong bound is found.
 */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { inspect } from "node:util";
import type { HostConfiguration } from "../../../src/core/command.ts";
import type { InterfaceConfiguration } from "../../../src/core/interface/configuration.ts";

const LARGEST = 2 ** 31 - 1;

/** Lowest and highest value of each variable. */
const VARIABLES: Readonly<Record<string, readonly [number, number]>> = {
  "net.inet.carp.allow": [0, 1],
  "net.inet.carp.preempt": [0, 1],
  "net.inet.carp.preempt_delay": [0, 86_400],
  "net.inet.carp.log": [0, 7],
  "net.inet.carp.demotion": [-LARGEST, LARGEST],
  "net.inet.carp.ifdown_demotion_factor": [0, LARGEST],
  "net.inet.carp.senderr_demotion_factor": [0, LARGEST],
  "net.inet.carp.dscp": [0, 63],
  "net.inet.carp.strict_replay": [0, 1],
  "net.inet.carp.signed_header": [0, 1],
  "net.inet.carp.grace": [0, 86_400],
  "net.pfsync.carp_demotion_factor": [0, LARGEST],
};

const NOT_UNICAST = {
  ipv4: /^(0|127|22[4-9]|23\d)\.|^255\.255\.255\.255$/,
  ipv6: /^ff..:|^::1?$/,
};

function within(value: number, least: number, most: number, what: string): void {
  assert.ok(Number.isInteger(value) && value >= least && value <= most, `${what} ${inspect(value)}`);
}

export function assertWithinBounds({
  interfaces,
  sysctl,
  groups,
  reasons,
  units = [],
}: HostConfiguration): void {
  assert.equal(new Set(interfaces.map(({ name }) => name)).size, interfaces.length);
  for (const each of interfaces) assertInterface(each);
  for (const { name, value } of sysctl) {
    const [least, most] = Object.hasOwn(VARIABLES, name) ? (VARIABLES[name] ?? []) : [];
    assert.ok(least !== undefined && most !== undefined, `a variable ${inspect(name)}`);
    within(value, least, most, name);
  }
  for (const { carpDemoteCount } of groups)
    within(carpDemoteCount, 1, Number.MAX_SAFE_INTEGER, "a group's count");
  for (const { unit, by } of units) {
    assert.match(unit, /^[^-/\s][^/\s]*\.[a-z]+$/);
    within(by, 1, 1_048_576, unit);
  }
  for (const { reason, by } of reasons) {
    assert.match(reason, /^[\w.-]{1,32}$/);
    within(by, 1, 1_048_576, reason);
  }
}

function assertInterface(of: InterfaceConfiguration): void {
  assert.match(of.name, /^carp(0|[1-9]\d{0,9})$/);
  within(of.advbase, 0, 254, "advbase");
  assert.ok(of.nodes.length <= 32);
  for (const [at, { vhid, advskew }] of of.nodes.entries()) {
    within(vhid, 1, 255, "vhid");
    within(advskew, 0, 254, "advskew");
    assert.ok(at === 0 || vhid > (of.nodes[at - 1]?.vhid ?? 0), "nodes are in order and distinct");
  }
  assert.ok(["none", "ip", "ip-unicast", "ip-stealth"].includes(of.balancing), of.balancing);
  if (of.preemptdelay !== undefined) within(of.preemptdelay, 0, 86_400, "preemptdelay");
  if (of.mtu !== undefined) within(of.mtu, 68, 65_535, "mtu");
  if (of.lladdr !== undefined) assert.match(of.lladdr, /^(carpdev|[0-9a-f][02468ace](:[0-9a-f]{2}){5})$/);
  if (of.carpdev !== undefined) assert.match(of.carpdev, /^[^\s/:]{1,15}$/);
  for (const peer of of.carppeer ?? []) assert.equal(isIP(peer), 4);
  for (const peer of of.carppeer6 ?? []) assert.equal(isIP(peer), 6);
  for (const text of [of.pass, of.description ?? "", ...of.groups]) assert.ok(!text.includes("\0"));
  for (const each of of.groups) assert.match(each, /^[\w.-]{0,14}[A-Za-z_.-]$/);
  for (const { family, address, prefixLength, broadcast } of of.addresses) {
    assert.equal(isIP(address), family, address);
    within(prefixLength, 0, family === 4 ? 32 : 128, "prefixlen");
    if (broadcast !== undefined) assert.equal(isIP(broadcast), 4);
    assert.doesNotMatch(address, family === 4 ? NOT_UNICAST.ipv4 : NOT_UNICAST.ipv6);
  }
}
