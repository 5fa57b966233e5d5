/** The doctor's judgement of conntrackd, its hook and the rules of nftables. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  type ConnectionStateFacts,
  examineConnectionStates,
} from "../../../src/doctor/connection-states.ts";

const statistics = ({
  received = 7,
  lost = 0,
  malformed = 0,
  external = "cache external:\ncurrent active connections:\t 3\n",
} = {}) =>
  `cache internal:
current active connections:	           5
connections created:		           9	failed:	           0

${external}
UDP traffic (active device=eth2):
                  32 Bytes sent                   16 Bytes recv
                   2 Pckts sent        ${received} Pckts recv
                   0 Error send                    0 Error recv

message tracking:
                   ${malformed} Malformed msgs      ${lost} Lost msgs
`;
const answered = (text: string): Answer => ({ kind: "answered", text });
const state = { match: { op: "in", left: { ct: { key: "state" } }, right: ["established", "related"] } };
const flags = { match: { op: "!=", left: { payload: { protocol: "tcp", field: "flags" } }, right: "syn" } };
const IN = { family: "inet", table: "filter" };
const forward = (policy: string) => ({
  chain: { ...IN, name: "fwd", type: "filter", hook: "forward", policy },
});
const rule = (chain: string, ...expr: unknown[]) => ({ rule: { ...IN, chain, expr } });
const ruleset = (...nftables: unknown[]) => answered(JSON.stringify({ nftables }));
const KNOWN = rule("known", state, { accept: null });
const SYN = rule("known", flags, { drop: null });
const JUMP = rule("fwd", { jump: { target: "known" } });

const sound: ConnectionStateFacts = {
  isRoot: true,
  hook: "conntrackd",
  configurationPath: "/etc/conntrackd/conntrackd.conf",
  configuration: "Sync {\n\tMode FTFW {\n",
  lock: "/run/lock/conntrackd.lock",
  statistics: [answered(statistics()), answered(statistics({ received: 8 }))],
  rules: ruleset(forward("drop"), JUMP, KNOWN, SYN),
  tcpIsLoose: true,
};

const found = (facts: Partial<ConnectionStateFacts>) =>
  examineConnectionStates({ ...sound, ...facts }).map(
    ({ level, subject, text }) => `${level} ${subject}: ${text}`,
  );
const complaint = (facts: Partial<ConnectionStateFacts>, pattern: RegExp) => {
  const complaints = found(facts).filter((each) => !each.startsWith("ok "));
  assert.equal(complaints.length, 1, complaints.join("\n"));
  assert.match(complaints[0] ?? "", pattern);
};

test("a firewall in sync has no complaint", () => {
  assert.deepEqual(found({}), [
    "ok conntrackd: the hook conntrackd has it take over the states of connections",
    "ok conntrackd: in sync: 5 states of this host, 3 of other hosts",
    "ok nftables: only packets of known connections, and those that begin one, are forwarded",
  ]);
  const injecting = answered(statistics({ received: 8, lost: 2, external: "external inject:\n" }));
  assert.match(
    found({ statistics: [answered(statistics()), injecting] })[1] ?? "",
    /in sync: 5 states of this host; 2 messages were lost, and sent again$/,
  );
});

test("conntrackd without a hook, and a hook without conntrackd", () => {
  complaint({ hook: undefined }, /^warning conntrackd: no hook/);
  complaint({ statistics: [{ kind: "absent" }, { kind: "absent" }] }, /^error .* not installed/);
  complaint({ configuration: undefined }, /^error .* but no \/etc\/conntrackd\/conntrackd.conf/);
});

test("conntrackd that does not run, does not answer, or hears no other host", () => {
  const failed: Answer = { kind: "failed", text: "can't connect" };
  const [, dead] = examineConnectionStates({ ...sound, statistics: [failed, failed] });
  assert.equal(dead?.level, "error");
  assert.match(dead?.todo ?? "", /remove \/run\/lock\/conntrackd.lock/);
  const [, stopped] = examineConnectionStates({ ...sound, statistics: [failed, failed], lock: undefined });
  assert.equal(stopped?.todo, "systemctl start conntrackd");
  complaint({ statistics: [{ kind: "silent" }, { kind: "silent" }] }, /^error .* does not answer/);
  const mute = answered(statistics({ received: 0 }));
  complaint({ statistics: [mute, mute] }, /^warning .* never heard another host/);
  const same = answered(statistics());
  complaint({ statistics: [same, same] }, /^warning .* does not hear another host/);
  complaint(
    { statistics: [answered(""), answered("")] },
    /^warning .* does not synchronise .* another version/,
  );
  const strange = answered(statistics({ received: 8, malformed: 1 }));
  complaint({ statistics: [same, strange] }, /^error .* does not understand the messages of the other host/);
  assert.match(
    found({ statistics: [strange, answered(statistics({ received: 9, malformed: 1 }))] })[1] ?? "",
    /^ok/,
  );
  assert.match(found({ statistics: [same, same], configuration: "Sync {\n Mode NOTRACK {" })[1] ?? "", /^ok/);
});

test("rules that let pass what connection tracking does not know", () => {
  complaint({ rules: ruleset() }, /^warning nftables: .*no chain at the hook forward drops/);
  complaint({ rules: ruleset(forward("accept"), JUMP, KNOWN, SYN) }, /no chain at the hook forward drops/);
  complaint({ rules: ruleset(forward("drop"), KNOWN, SYN) }, /no rule accepts packets of known connections/);
  complaint({ rules: ruleset(forward("drop"), JUMP, KNOWN) }, /no rule drops new ones without SYN/);
  complaint({ rules: ruleset(forward("drop"), rule("fwd", { xt: null })) }, /^unknown .* iptables/);
  complaint({ rules: { kind: "absent" } }, /^unknown .* cannot be listed/);
  const vmap = rule("fwd", {
    vmap: { key: { ct: { key: "state" } }, data: { set: [["established", { accept: null }]] } },
  });
  const last = rule("fwd", { counter: null }, { reject: null });
  const own = { rules: ruleset(forward("accept"), vmap, last), tcpIsLoose: false };
  assert.match(found(own)[2] ?? "", /^ok/);
});

test("other users are told that they may not ask", () => {
  assert.deepEqual(
    examineConnectionStates({ ...sound, isRoot: false }).map(({ level }) => level),
    ["ok", "unknown", "unknown"],
  );
});
