/** The state machine of ifstated(8): what is evaluated when, and what is run in which order. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIfstatedFile } from "../../../src/config/ifstated/parser.ts";
import type { ExternalTest, LinkState } from "../../../src/config/ifstated/syntax.ts";
import { Machine, type Steps } from "../../../src/ifstated/machine.ts";

/** A machine whose commands are run by `run`; it writes down what happens. */
class Driven {
  readonly lines: string[] = [];
  readonly machine: Machine;
  readonly #run: (command: string) => number | undefined;
  readonly #scheduled = new Set<ExternalTest>();

  constructor(
    text: string,
    links: Readonly<Record<string, LinkState>> = {},
    run: (command: string) => number | undefined = () => 0,
  ) {
    const file = parseIfstatedFile(Buffer.from(text));
    assert.ok(!("errors" in file), JSON.stringify(file));
    this.#run = run;
    this.machine = new Machine(file, new Map(Object.entries(links)));
    this.#take(this.machine.begin());
  }

  link(name: string, state: LinkState): string[] {
    return this.#take(this.machine.link(name, state));
  }

  /** The time of every scheduled test has come. */
  tests(): string[] {
    return [...this.#scheduled].flatMap((each) => {
      const status = this.#scheduled.has(each) ? this.#run(each.command) : undefined;
      return status === undefined ? [] : this.#take(this.machine.tested(each, status));
    });
  }

  #take(steps: Steps): string[] {
    const before = this.lines.length;
    let answer: number | undefined;
    for (let step = steps.next(); !step.done; step = steps.next(answer)) {
      answer = undefined;
      const { value } = step;
      if (value.kind === "log") this.lines.push(value.text);
      else if (value.kind === "pause") this.lines.push("pause");
      else if (value.kind === "run") {
        this.lines.push(`run ${value.command}`);
        this.#run(value.command);
      } else if (value.kind === "schedule") this.#scheduled.add(value.test);
      else if (value.kind === "cancel") this.#scheduled.delete(value.test);
      else {
        this.lines.push(`test ${value.test.command}`);
        answer = this.#run(value.test.command);
      }
      if (this.lines.length > before + 1000) break;
    }
    return this.lines.slice(before);
  }
}

describe("the beginning", () => {
  test("what stands outside of states comes first, then the initial state: tests, init, body", () => {
    const { lines } = new Driven(
      `run "outside"
state a {
	run "body"
	init { run "init" }
	if "test" every 5 && ! "other" every 5
		run "tested"
}`,
      {},
      (command) => (command === "other" ? 1 : 0),
    );
    assert.deepEqual(lines, [
      "run outside",
      "initial state: a",
      "changing state to a",
      "test test",
      "test other",
      "run init",
      "run body",
      "run tested",
    ]);
  });

  test("the states of links are known before anything is evaluated", () => {
    const { lines } = new Driven(
      `if eth0.link.down run "down"\nstate a {\nif eth0.link.down set-state b\n}\nstate b {\n}`,
      { eth0: "down" },
    );
    assert.deepEqual(lines, ["run down", "initial state: a", "changing state to a", "changing state to b"]);
  });
});

describe("links", () => {
  const FILE = `
if eth0.link.up run "always up"
state a {
	init run "enter a"
	if eth0.link.down set-state b
	run "body a"
}
state b {
	init {
		run "enter b"
		if eth1.link.up run "with eth1"
	}
	if eth0.link.up set-state a
}`;

  test("a change evaluates what stands outside and the present state, if they test that link", () => {
    const driven = new Driven(FILE, { eth0: "up", eth1: "down" });
    assert.deepEqual(driven.link("eth1", "up"), [], "state a tests it nowhere");
    assert.deepEqual(driven.link("eth0", "up"), [], "no change");
    assert.deepEqual(driven.link("eth0", "down"), [
      "run body a",
      "changing state to b",
      "run enter b",
      "run with eth1",
    ]);
    assert.deepEqual(driven.link("eth0", "up"), [
      "run always up",
      "changing state to a",
      "run enter a",
      "run body a",
    ]);
  });

  test("unknown is up as well, but not for a carp interface", () => {
    for (const [name, states] of [
      ["wg0", ["up", "unknown"]],
      ["carp0", ["unknown"]],
    ] as const) {
      const tests = ["up", "down", "unknown"].map((is) => `if ${name}.link.${is} run "${is}"`);
      const { lines } = new Driven(tests.join("\n"), { [name]: "unknown" });
      assert.deepEqual(
        lines,
        states.map((is) => `run ${is}`),
      );
    }
  });
});

describe("changes of state", () => {
  test("set-state takes effect behind the last action, and the last one counts", () => {
    const { lines } = new Driven(`
state a {
	init set-state b
	run "body a"
	set-state c
	run "after"
}
state b {
}
state c {
}`);
    assert.deepEqual(lines.slice(1), [
      "changing state to a",
      "run body a",
      "run after",
      "changing state to c",
    ]);
  });

  test("set-state of the present state changes nothing", () => {
    const driven = new Driven(`state a {\nif eth0.link.up set-state a\nrun "x"\n}`, { eth0: "down" });
    assert.deepEqual(driven.link("eth0", "up"), ["run x"]);
    assert.deepEqual(driven.link("eth0", "down"), ["run x"]);
  });

  test("states that form a circle are told of, and pause", () => {
    const { lines } = new Driven("state a {\nset-state b\n}\nstate b {\nset-state a\n}");
    assert.equal(lines.filter((line) => line === "pause").length, 9);
    assert.equal(lines.indexOf("100 changes of state in a row: do they end?"), 100);
  });
});

describe("external tests", () => {
  const FILE = `
state a {
	init run "enter a"
	if "x" every 5 run "x is true"
	if ! "x" every 5 run "x is false"
}
if "y" every 5 run "y is true"`;

  test("a changed exit status evaluates the body, the same one does not", () => {
    const status = { x: 0, y: 1 } as Record<string, number>;
    const driven = new Driven(FILE, {}, (command) => status[command]);
    assert.deepEqual(driven.lines, [
      "test y",
      ...["initial state: a", "changing state to a", "test x", "run enter a", "run x is true"],
    ]);
    assert.deepEqual(driven.tests(), []);
    status.x = 1;
    assert.deepEqual(driven.tests(), ["run x is false"]);
    status.x = 2;
    assert.deepEqual(driven.tests(), ["run x is false"], "another exit status");
    status.y = 0;
    assert.deepEqual(driven.tests(), ["run y is true"]);
  });

  test("of a test that never exited neither it nor its negation is true", () => {
    let status: number | undefined;
    const driven = new Driven(FILE, {}, () => status);
    assert.equal(
      driven.lines.some((line) => / is /.test(line)),
      false,
    );
    status = 1;
    assert.deepEqual(driven.tests(), ["run x is false"]);
    status = undefined;
    assert.deepEqual(driven.tests(), [], "it stays as it was");
  });

  test("they run anew when a state is entered, and end when it is left", () => {
    const asked: string[] = [];
    const driven = new Driven(
      `state a {\nif "x" every 5 && eth0.link.up set-state b\n}\nstate b {\nif eth0.link.down set-state a\n}`,
      { eth0: "down" },
      (command) => {
        asked.push(command);
        return 0;
      },
    );
    assert.deepEqual(driven.link("eth0", "up"), ["changing state to b"]);
    asked.length = 0;
    driven.tests();
    assert.deepEqual(asked, []);
    assert.deepEqual(driven.link("eth0", "down"), ["changing state to a", "test x"]);
  });
});

/** The walk through states of OpenBSD's regression test, with other names, over two files that commands make. */
test("every form of expression leads from one state to the next", () => {
  const files = new Set<string>();
  const run = (command: string): number => {
    const [verb = "", file = ""] = command.split(" ");
    if (verb === "make") files.add(file);
    if (verb === "remove") files.delete(file);
    if (verb === "make-unless") {
      const [, , other = ""] = command.split(" ");
      if (!files.has(other)) files.add(file);
    }
    return verb === "has" ? Number(!files.has(file)) : Number(verb === "no");
  };
  const driven = new Driven(
    `
init-state s1
yes = '( "yes" every 2 )'
no = '( "no" every 2 )'
red = '( "has red" every 2 )'
blue = '( "has blue" every 2 )'
state s1 {
	init { run "make-unless red blue" }
	if $red && ! $blue
		set-state s2
	if $blue
		set-state s20
}
state s2 {
	init { run "remove red" }
	if ! $red
		set-state s3
}
state s3 {
	if ( $no || $no ) || ( ! $red || $no )
		set-state s4
}
state s4 {
	if ( $yes && $yes ) && ( ! $red && $yes )
		set-state s5
}
state s5 {
	init { run "make red" }
	if ( $no || $yes ) && ( ! $yes || $red )
		if $yes
			set-state s6
}
state s6 { 
	if ( ! $no )
		set-state s7
}
state s7 {
	if ! ( $no ) {
		set-state s8
	}
}
state s8 {
	if $yes && ! ( $yes && ! $red ) {
		run "remove red"
		run "make blue"
		set-state s1
	}
}
state s20 {
	init {
		if $yes
			if ( $yes && ! $no ) && ( $no || $yes ) {
				if $yes
					run "make red"
			}
	}
	if $red && $blue {
		run "remove blue"
		set-state s21
	}
}
state s21 {
	init { run "make blue" }
	if $red && $blue
		set-state s22
}
state s22 {
	if ! ( ! ( ! $no ) )
		set-state end
}
state end {
	if $no
		set-state s1
}`,
    {},
    run,
  );
  for (let turn = 0; turn < 12; turn++) driven.tests();
  const entered = driven.lines.flatMap((line) => /^changing state to (.*)$/.exec(line)?.slice(1) ?? []);
  assert.deepEqual(entered.join(" "), "s1 s2 s3 s4 s5 s6 s7 s8 s1 s20 s21 s22 end");
});
