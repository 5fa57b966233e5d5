/** The grammar of ifstated.conf(5): what OpenBSD's ifstated takes is taken, and every error is named by its line. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIfstatedFile } from "../../../src/config/ifstated/parser.ts";
import type { Action, Configuration, Expression } from "../../../src/config/ifstated/syntax.ts";

const parse = (text: string, macros?: ReadonlyMap<string, string>) =>
  parseIfstatedFile(Buffer.from(text), macros);

function taken(text: string, macros?: ReadonlyMap<string, string>): Configuration {
  const parsed = parse(text, macros);
  assert.ok(!("errors" in parsed), JSON.stringify(parsed));
  return parsed;
}

/** An expression with every pair of parentheses. */
function shown(expression: Expression): string {
  switch (expression.kind) {
    case "link":
      return `${expression.interface}:${expression.is}`;
    case "external":
      return `${expression.test.command}/${expression.test.seconds}`;
    case "not":
      return `!${shown(expression.of)}`;
    case "chain":
      return expression.rest.reduce(
        (left, { operator, of }) => `(${left} ${operator} ${shown(of)})`,
        shown(expression.first),
      );
  }
}

function actions(all: readonly Action[]): unknown[] {
  return all.map((action) => {
    if (action.kind === "run") return action.command;
    if (action.kind === "set-state") return { to: action.to };
    return { if: shown(action.expression), do: actions(action.actions) };
  });
}

const bodyOf = (text: string) => actions(taken(text).always.body);

describe("what is taken", () => {
  test("states, their init blocks and bodies, and what stands outside of them", () => {
    const file = taken(`
init-state two
if eth0.link.down
	run 'logger down'
state one {
	init {
		run "enter one"
		if eth1.link.up
			run "with eth1"
	}
	if ! eth1.link.up {
		run "left"
		if eth0.link.unknown
			set-state two
	}
}
state two words {
	init run "enter two"
	init
		run "again"
}
state two { if "true" every 10 set-state "two words" }
state nothing { }
run "always"`);
    assert.deepEqual([...file.states.keys()], ["one", "two words", "two", "nothing"]);
    assert.equal(file.initial?.name, "two");
    assert.deepEqual(actions(file.always.body), [{ if: "eth0:down", do: ["logger down"] }, "always"]);
    const [one, words, two] = [...file.states.values()];
    assert.deepEqual(actions(one?.init ?? []), ["enter one", { if: "eth1:up", do: ["with eth1"] }]);
    assert.deepEqual(actions(one?.body ?? []), [
      { if: "!eth1:up", do: ["left", { if: "eth0:unknown", do: [{ to: "two" }] }] },
    ]);
    assert.deepEqual(actions(words?.init ?? []), ["enter two", "again"]);
    assert.deepEqual(actions(two?.body ?? []), [{ if: "true/10", do: [{ to: "two words" }] }]);
    assert.deepEqual([...file.interfaces], Object.entries({ eth0: 3, eth1: 8 }));
  });

  test("without init-state the first state is the initial one, and no state is needed", () => {
    assert.equal(taken("state b {\n}\nstate a {\n}\n").initial?.name, "b");
    assert.equal(taken("init-state a\nstate b {\n}\ninit-state b\nstate a {\n}").initial?.name, "b");
    assert.equal(taken("").initial, undefined);
  });

  test("&& and || bind alike, from the left; ! binds more", () => {
    const expression = (text: string) => bodyOf(`if ${text} run "x"`);
    const todo = ["x"];
    assert.deepEqual(expression("a.link.up || b.link.up && c.link.up"), [
      { if: "((a:up || b:up) && c:up)", do: todo },
    ]);
    assert.deepEqual(expression("a.link.up || ( b.link.up && ! ! c.link.up )"), [
      { if: "(a:up || (b:up && !!c:up))", do: todo },
    ]);
    assert.deepEqual(expression("!(a.link.up)&& b.link.up"), [{ if: "(!a:up && b:up)", do: todo }]);
  });

  test("a test that stands twice in a state is one, with another interval another", () => {
    const twice = `if "x" every 2 || "x" every 2 || "x" every 3 run "y"`;
    const { states, always } = taken(`${twice}\nstate a {\n${twice}\n}`);
    for (const { tests } of [always, states.get("a") ?? always])
      assert.deepEqual(tests, [
        { command: "x", seconds: 2 },
        { command: "x", seconds: 3 },
      ]);
  });

  test("the name of an interface may have dots and dashes, and may be quoted", () => {
    assert.deepEqual(bodyOf(`if eth0.100.link.up || br-lan.link.down || "wg.x".link.unknown run "x"`), [
      { if: "((eth0.100:up || br-lan:down) || wg.x:unknown)", do: ["x"] },
    ]);
  });

  test("macros stand for their text, and are not expanded in quotes", () => {
    const body = bodyOf(`
wan = eth0
seconds = "5"
say = "run 'hello'"
net = '( "ping -q gw" every 5 && \
         "ping -q dns" every 5 )'
words = a "b"
if $wan.link.up && ! $net || "test" every $seconds
	$say
run "echo $wan $words"
state $words { run "x" }`);
    const net = "(ping -q gw/5 && ping -q dns/5)";
    assert.deepEqual(body, [{ if: `((eth0:up && !${net}) || test/5)`, do: ["hello"] }, "echo $wan $words"]);
  });

  test("a macro can be defined anew, but not one of the command line", () => {
    const file = "x = eth0\nif $x.link.up run 'a'\nx = eth1\nif $x.link.up run 'a'\nunused = 'y'";
    assert.deepEqual([...taken(file).interfaces.keys()], ["eth0", "eth1"]);
    const { interfaces, macros } = taken(file, new Map([["x", "eth7"]]));
    assert.deepEqual([...interfaces.keys()], ["eth7"]);
    assert.deepEqual(macros, [
      { name: "x", value: "eth7", isGiven: true, isUsed: true },
      { name: "unused", value: "y", isGiven: false, isUsed: false },
    ]);
  });

  test("quotes, backslashes, comments and the ends of lines are read as OpenBSD's does", () => {
    const commands = (text: string) => bodyOf(text);
    assert.deepEqual(commands(`run "say \\"a b\\" 'c'\\ d \\x"`), [`say "a b" 'c' d \\x`]);
    assert.deepEqual(commands(`run 'it\\'s "this"'`), [`it's "this"`]);
    assert.deepEqual(commands('run "one \\\n  two\n three"'), ["one   two three"]);
    assert.deepEqual(commands("run \\\n\t'x' # that is \\\n all\r\nrun y"), ["x", "y"]);
    assert.deepEqual(commands("# nothing"), []);
    assert.deepEqual(commands('\ufeffrun "näh"'), ["näh"]);
  });
});

describe("errors", () => {
  /** Each line with its complaint behind `# ERROR: `, which is a comment. */
  for (const text of [
    `init-state nowhere # ERROR: init-state nowhere: no such state`,
    `init-state # ERROR: init-state: expected the name of a state
run # ERROR: run: expected a command, in quotes
run a b # ERROR: b: expected the end of the line
run "a" } # ERROR: }: expected MACRO = VALUE, init-state, state, if or run
set-state a # ERROR: set-state: only in a state
init { # ERROR: init: only in a state
}
x = # ERROR: x =: expected a value, in quotes
x y # ERROR: y: expected = behind x, as in MACRO = VALUE, or init-state, state, if or run
"a b" = c # ERROR: a b: the name of a macro has no blanks
every 5 # ERROR: every: expected MACRO = VALUE, init-state, state, if or run
stat a { # ERROR: a: expected = behind stat, as in MACRO = VALUE, or init-state, state, if or run
	run "not looked at"
}
state # ERROR: state: expected its name
state a # ERROR: run: expected { behind state a
run "x"`.replace(/(state a) (# ERROR.*)\nrun "x"$/, '$1\nrun "x" $2'),
    `state a {
	foo # ERROR: foo: expected run, set-state or if
	if eth0.link.up {
		run # ERROR: run: expected a command, in quotes
		init { # ERROR: init: only in a state, and not in a block of it
		}
		set-state b # ERROR: set-state b: no such state
	}
	init {
		set-state # ERROR: set-state: expected the name of a state
	}
}
state a { # ERROR: state a: defined already on line 1
}`,
    `if eth0.lnk.up { # ERROR: eth0.lnk.up: expected IF.link.up, IF.link.down or IF.link.unknown
	run # ERROR: run: expected a command, in quotes
}
if eth0.link.on run "x" # ERROR: eth0.link.on: expected IF.link.up, IF.link.down or IF.link.unknown
if eth0.link run "x" # ERROR: eth0.link: expected IF.link.up, IF.link.down or IF.link.unknown
if eth0.link.up&&eth1.link.up # ERROR: eth0.link.up&&eth1: expected IF.link.up, IF.link.down or IF.link.unknown; && and || need a blank on each side
if abcdefghijklmnop.link.up run "x" # ERROR: abcdefghijklmnop: not the name of a network interface
if eth0 run "x" # ERROR: eth0: expected IF.link.up, "COMMAND" every N, ! or (
if ( eth0.link.up run "x" # ERROR: run: expected ), && or ||
if eth0.link.up && # ERROR: &&: expected IF.link.up, "COMMAND" every N, ! or (, and the line ends here; a backslash at its end continues it
if { # ERROR: {: expected IF.link.up, "COMMAND" every N, ! or ( behind if
}
if "x" every y run "z" # ERROR: y: expected a number of seconds behind every
if "x" every 0 run "z" # ERROR: every 0: must be 1..4294967295 seconds
if "x" every -5 run "z" # ERROR: every -5: must be 1..4294967295 seconds
if "x" every 4294967296 run "z" # ERROR: every 4294967296: must be 1..4294967295 seconds
if $net && eth0.link.up run "x" # ERROR: $net: no such macro is defined above
net = "$lan"
if $net run "x" # ERROR: $: not expected outside of quotes: the value of a macro has no macros
ä = "x" # ERROR: ä: not expected outside of quotes
if eth0.link.up
state a { # ERROR: state: expected { or an action behind the test of if
	run "not looked at"
}
if eth0.link.up { # ERROR-AT-END: {: no } for the { of line 25
	run "x"`,
  ])
    test(text.split(" # ")[0]?.split("\n")[0] ?? "", () => {
      const lines = text.split("\n");
      const expected = lines.flatMap((line, at) => {
        const [, message] = / # ERROR: (.*)$/.exec(line) ?? [];
        return message === undefined ? [] : [{ line: at + 1, message }];
      });
      const [, atEnd] = / # ERROR-AT-END: (.*)$/m.exec(text) ?? [];
      if (atEnd !== undefined) expected.push({ line: lines.length + 1, message: atEnd });
      assert.deepEqual(parse(`${text}\n`), { errors: expected });
    });

  test("a string without its end is told of where it begins", () => {
    const message = "': the string that begins here does not end";
    assert.deepEqual(parse("run a\nrun 'b\nrun c\n"), { errors: [{ line: 2, message }] });
  });

  test("bytes that are no text are refused with their line", () => {
    assert.deepEqual(parseIfstatedFile(Buffer.from("run a\nrun \xff\n\0\n", "latin1")), {
      errors: [
        { line: 2, message: "not UTF-8" },
        { line: 3, message: "contains a NUL" },
      ],
    });
  });

  test("a file without end is read in bounds", () => {
    const deep = `if ${"(".repeat(1000)}`;
    assert.match(JSON.stringify(parse(deep)), /more than 200 levels inside each other/);
    assert.match(JSON.stringify(parse(`if ${"!".repeat(6e4)} a.link.up run x`)), /more than 200 levels/);
    assert.match(JSON.stringify(parse("if a.link.up\n".repeat(1000))), /more than 200 levels/);
    const long = `if a.link.up ${"&& a.link.up ".repeat(4000)} run x`;
    assert.equal(taken(long).always.body.length, 1);
    assert.match(JSON.stringify(parse(`run '${"x".repeat(8096)}'`)), /a string has at most 8095 characters/);
    const bomb = `x = "${"a ".repeat(4000)}"\n${"y = $x\n".repeat(600)}`;
    assert.match(JSON.stringify(parse(bomb)), /all macros together have more than 4194304 characters/);
    const wrong = parse("}\n".repeat(10_000));
    assert.ok("errors" in wrong && wrong.errors.length === 100);
  });
});
