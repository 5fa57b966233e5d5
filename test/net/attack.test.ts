/**
 * Users without rights who do all they can to the engine's control socket, at once: root's commands are done in time,
 * advertisements leave in time, and neither the log nor the engine grows.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AttackedHost, report } from "./attack.ts";
import { type Attack, attack, endAttacks, STRANGERS_ATTACKS } from "./attackers.ts";

describe("an engine under attack from users without rights", () => {
  let attacked: AttackedHost;

  before(async () => {
    attacked = await AttackedHost.create();
  });
  after(() => attacked.destroy());

  /** Compares with a quiet time just before: another program may keep the machine busy. */
  async function assertUnmoved(kinds: readonly Attack[], { limitsCpu = true } = {}): Promise<void> {
    const quiet = await attacked.endure([], 2);
    const figures = await attacked.endure(kinds, 5);
    const text = `quiet:\n${report(quiet)}\nunder attack:\n${report(figures)}`;
    assert.deepEqual(figures.failed, [], text);
    assert.deepEqual(figures.ended, [], text);
    assert.equal(figures.transitions, 0, text);
    assert.ok(figures.advertisements > 0, text);
    assert.ok(figures.longestGap < Math.max(1.5, 1.5 * quiet.longestGap), text);
    const longestMs = Math.max(...quiet.commandsMs);
    // With nothing but one socket for all, root waits for nine seconds, or is sent away.
    assert.ok(Math.max(...figures.commandsMs) < Math.max(3000, 6 * longestMs), text);
    assert.ok(figures.logLines <= 20 + 2 * figures.seconds, text);
    assert.ok(figures.residentMb < 256, text);
    // 5 % are theirs; before, they had all of a core.
    if (limitsCpu) assert.ok(figures.cpu < quiet.cpu + 0.25, text);
  }

  for (const [what, kinds] of [
    ["250 connections that ask for the examination", ["doctor"]],
    ["two processes that only connect", ["connect", "connect"]],
    ["300 users", ["users"]],
    ["every attack at once", STRANGERS_ATTACKS],
  ] as const satisfies readonly (readonly [string, readonly Attack[]])[])
    test(what, () => assertUnmoved(kinds));

  // The engine's time is not limited for members: root and the advertisements go first.
  test("a member of group carp, with many connections to the socket that root uses", () =>
    assertUnmoved(["member"], { limitsCpu: false }));

  test("another user without rights is answered while many ask", async () => {
    const { host } = attacked;
    const attacks = [attack(host, "doctor"), attack(host, "questions")];
    const script = [
      "import os, socket, sys",
      "os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(4711); os.setuid(4711)",
      "s = socket.socket(socket.AF_UNIX); s.connect('engine.sock')",
      `s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"interfaces"}\\n')`,
      "print(len(s.makefile().readline()))",
    ].join("\n");
    for (let n = 0; n < 3; n++)
      assert.match(await host.run("/usr/bin/python3", "-c", script, host.runDirectory), /^\d{4,}\n$/);
    await endAttacks(attacks);
  });
});
