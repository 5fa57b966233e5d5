/**
 * ifstated.conf files: every error has a line of the file and is told in words, nothing throws, and what is taken can
 * be written as a file that means the same; the state machine takes a bounded number of steps for each event.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseIfstatedFile } from "../../../src/config/ifstated/parser.ts";
import type { Action, Configuration, Expression, State } from "../../../src/config/ifstated/syntax.ts";
import { Machine, type Steps } from "../../../src/ifstated/machine.ts";
import type { Target, Trial } from "../target.ts";
import { assertRefusal } from "./words.ts";

function open(): Trial {
  return {
    feed(input) {
      const bytes = Buffer.from(input);
      const lines = bytes.toString("latin1").split("\n").length;
      const file = parseIfstatedFile(bytes, new Map([["given", "eth0.link.up"]]));
      if ("errors" in file) {
        assert.ok(file.errors.length > 0);
        for (const { line = 0, message } of file.errors) {
          assert.ok(line >= 1 && line <= lines + 1, `line ${line} of ${lines}`);
          assertRefusal(message);
        }
        return;
      }
      assertMachine(file);
      // In the value of a macro a word can end in a backslash, which no string can.
      if (/\\"[,\]}]/.test(JSON.stringify(meaning(file)))) return;
      const text = textOf(file);
      const again = parseIfstatedFile(Buffer.from(text));
      assert.ok(!("errors" in again), `${text}: ${JSON.stringify(again)}`);
      assert.deepEqual(meaning(again), meaning(file));
    },
  };
}

/** What a file means: everything but its macros and lines. */
function meaning({ always, states, initial }: Configuration): unknown {
  const of = ({ name, init, body, interfaces, tests }: State) => ({ name, init, body, interfaces, tests });
  return { always: of(always), states: [...states.values()].map(of), initial: initial?.name };
}

/** A string in quotes. A backslash stands for itself, unless a quote, a blank or a tab is behind it. */
function asString(text: string): string {
  return `"${text.replace(/"|(?<=\\)[ \t]/g, "\\$&")}"`;
}

function textOf({ always, states, initial }: Configuration): string {
  return [
    ...actionLines(always.body),
    ...[...states.values()].flatMap(({ name, init, body }) => [
      `state ${asString(name)} {`,
      ...(init.length > 0 ? ["init {", ...actionLines(init), "}"] : []),
      ...actionLines(body),
      "}",
    ]),
    ...(initial === undefined ? [] : [`init-state ${asString(initial.name)}`]),
    "",
  ].join("\n");
}

function actionLines(actions: readonly Action[]): string[] {
  return actions.flatMap((action) => {
    if (action.kind === "run") return [`run ${asString(action.command)}`];
    if (action.kind === "set-state") return [`set-state ${asString(action.to)}`];
    return [`if ${expressionText(action.expression)} {`, ...actionLines(action.actions), "}"];
  });
}

function expressionText(expression: Expression): string {
  switch (expression.kind) {
    case "link":
      return `${asString(expression.interface)}.link.${expression.is}`;
    case "external":
      return `${asString(expression.test.command)} every ${expression.test.seconds}`;
    case "not":
      return `! ${expressionText(expression.of)}`;
    case "chain": {
      const rest = expression.rest.map(({ operator, of }) => ` ${operator} \\\n${expressionText(of)}`);
      return `( ${expressionText(expression.first)}${rest.join("")} )`;
    }
  }
}

/** Each event is handled in a number of steps that the file bounds, until states form a circle. */
function assertMachine(file: Configuration): void {
  const machine = new Machine(file, new Map([...file.interfaces.keys()].map((name) => [name, "down"])));
  const most = 200 * (1 + countOf(file));
  const take = (steps: Steps) => {
    let answer: number | undefined;
    for (let count = 0; ; count++) {
      const { done, value } = steps.next(answer);
      if (done || value.kind === "pause") return;
      assert.ok(count < most, `${count} steps`);
      answer = value.kind === "test" ? value.test.command.length % 3 : undefined;
    }
  };
  take(machine.begin());
  for (const name of file.interfaces.keys())
    for (const state of ["up", "unknown", "down"] as const) take(machine.link(name, state));
  for (const { tests } of [file.always, ...file.states.values()])
    for (const test of tests) for (const status of [0, 1]) take(machine.tested(test, status));
}

function countOf({ always, states }: Configuration): number {
  const count = (actions: readonly Action[]): number =>
    actions.reduce((sum, each) => sum + 1 + (each.kind === "if" ? count(each.actions) : 0), 0);
  return [always, ...states.values()].reduce(
    (sum, { init, body, tests }) => sum + count(init) + count(body) + 3 * tests.length + 3,
    0,
  );
}

const name = fc.constantFrom("a", "b", "two words", "up");
const expression: fc.Memo<string> = fc.memo((n) => {
  const leaf = fc.oneof(
    fc
      .tuple(
        fc.constantFrom("eth0", "carp0", "eth0.7", "$given", "$x"),
        fc.constantFrom("up", "down", "unknown"),
      )
      .map(([device, is]) => (device.startsWith("$") ? device : `${device}.link.${is}`)),
    fc.constantFrom("true", "false").map((command) => `"${command}" every 5`),
  );
  if (n <= 1) return leaf;
  return fc.oneof(
    leaf,
    expression(n - 1).map((inside) => `! ${inside}`),
    fc
      .tuple(expression(n - 1), fc.constantFrom("&&", "||"), expression(n - 1))
      .map((parts) => `( ${parts.join(" ")} )`),
  );
});
const action: fc.Memo<string> = fc.memo((n) => {
  const leaf = fc.oneof(
    name.map((to) => `set-state "${to}"`),
    fc.string({ maxLength: 8 }).map((command) => `run '${command}'`),
  );
  if (n <= 1) return leaf;
  return fc.oneof(
    leaf,
    fc
      .tuple(expression(3), fc.array(action(n - 1), { minLength: 1, maxLength: 3 }))
      .map(([test, inside]) => `if ${test} {\n${inside.join("\n")}\n}`),
  );
});
const state = fc
  .tuple(name, fc.array(action(2), { maxLength: 2 }), fc.array(action(3), { maxLength: 3 }))
  .map(([own, init, body]) => `state "${own}" {\ninit {\n${init.join("\n")}\n}\n${body.join("\n")}\n}`);
const entry = fc.oneof(
  { weight: 4, arbitrary: state },
  { weight: 1, arbitrary: name.map((first) => `init-state "${first}"`) },
  { weight: 1, arbitrary: expression(2).map((test) => `if ${test}\nrun "outside"`) },
);

export const ifstatedFiles: Target = {
  name: "ifstated-files",
  sensible: fc
    .uniqueArray(entry, { maxLength: 6, selector: (text) => text.split("\n")[0] })
    .map((entries) => Buffer.from(["x = 'eth1.link.down'", ...entries].join("\n"))),
  tokens: [
    ...["init-state ", "state ", "init ", "if ", "run ", "set-state ", " every 1", ".link.up", ".link."],
    ...[" && ", " || ", "! ", "( ", " )", "{\n", "}\n", "\n", "\\\n", "'", '"', "#", "$x", "$", " = ", "\0"],
    ...["eth0", "a.b", "4294967295", "-1", "\xff", "\ufeff", "\r\n", "\\"],
  ],
  tries: 400,
  open,
};
