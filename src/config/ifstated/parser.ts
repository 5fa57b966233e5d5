/**
 * The grammar of ifstated.conf(5), by recursive descent: macros, states and actions. Every error of a file is found: behind one, reading goes on
 * with the next line, or with the block that the line opens. Knows nothing of which interfaces exist.
 */

import { printable } from "../../control/printable.ts";
import { type Complaint, linesOf } from "../lines.ts";
import { readExpression, type TestsOfState } from "./expressions.ts";
import type { Action, Configuration, ExternalTest, Macro, State } from "./syntax.ts";
import { MOST_ERRORS, Tokens } from "./tokens.ts";

export type Parsed = Configuration | { readonly errors: readonly Complaint[] };

/**
 * Parses a file.
 * @param given macros of the command line, which the file cannot define anew
 */
export function parseIfstatedFile(
  bytes: Buffer,
  given: ReadonlyMap<string, string> = new Map<string, string>(),
): Parsed {
  const errors: Complaint[] = [];
  const lines: string[] = [];
  for (const line of linesOf(bytes)) {
    if ("refusal" in line) errors.push({ line: line.number, message: line.refusal });
    else lines.push(`${line.text}\n`);
  }
  if (errors.length > 0) return { errors: errors.slice(0, MOST_ERRORS) };
  return new Parser(lines.join(""), given).parse();
}

interface OpenState extends State {
  readonly init: Action[];
  readonly body: Action[];
  readonly interfaces: Set<string>;
  readonly tests: ExternalTest[];
}

interface OpenMacro extends Macro {
  readonly isGiven: boolean;
  isUsed: boolean;
}

/** A word whose meaning depends on the states defined further down. */
interface StateName {
  readonly name: string;
  readonly line: number;
}

class Parser {
  readonly #tokens: Tokens;
  readonly #macros = new Map<string, OpenMacro>();
  readonly #states = new Map<string, OpenState & { readonly line: number }>();
  readonly #always = openState("");
  readonly #interfaces = new Map<string, number>();
  readonly #named: StateName[] = [];
  #initial: StateName | undefined;
  /** The state that is being read. */
  #state = this.#always;
  /** Blocks that are open. */
  #blocks = 0;

  constructor(text: string, given: ReadonlyMap<string, string>) {
    for (const [name, value] of given) this.#macros.set(name, { name, value, isUsed: false, isGiven: true });
    this.#tokens = new Tokens(text, (name) => this.#valueOf(name));
  }

  parse(): Parsed {
    while (this.#tokens.kind !== "end") {
      if (this.#tokens.kind === "newline") this.#tokens.advance();
      else if (this.#topLevel()) this.#endOfStatement();
      else this.#skipStatement();
    }
    for (const { name, line } of this.#named)
      if (!this.#states.has(name)) this.#tokens.complain(line, `set-state ${printable(name)}: no such state`);
    const initial = this.#initial;
    if (initial !== undefined && !this.#states.has(initial.name))
      this.#tokens.complain(initial.line, `init-state ${printable(initial.name)}: no such state`);
    const { errors } = this.#tokens;
    if (errors.length > 0) return { errors };
    const [first] = this.#states.values();
    return {
      always: this.#always,
      states: this.#states,
      initial: initial === undefined ? first : this.#states.get(initial.name),
      macros: [...this.#macros.values()],
      interfaces: this.#interfaces,
    };
  }

  #valueOf(name: string): string | undefined {
    const macro = this.#macros.get(name);
    if (macro !== undefined) macro.isUsed = true;
    return macro?.value;
  }

  /** @returns whether it was understood; else the rest of it is to be skipped */
  #topLevel(): boolean {
    switch (this.#tokens.kind) {
      case "init-state": {
        this.#tokens.advance();
        const name = this.#tokens.string("init-state: expected the name of a state");
        if (name !== undefined) this.#initial = { name: name.text, line: name.line };
        return name !== undefined;
      }
      case "state":
        return this.#stateDefinition();
      case "run":
      case "set-state":
      case "if":
        return this.#action(this.#always.body);
      case "init":
        return this.#tokens.fail("init: only in a state");
      case "string":
      case "number":
        return this.#macroDefinition();
      default:
        return this.#tokens.unexpected("MACRO = VALUE, init-state, state, if or run");
    }
  }

  #macroDefinition(): boolean {
    const { text: name } = this.#tokens;
    this.#tokens.advance();
    if (this.#tokens.kind !== "=")
      return this.#tokens.unexpected(
        `= behind ${printable(name)}, as in MACRO = VALUE, or init-state, state, if or run`,
      );
    if (/\s/.test(name)) return this.#tokens.fail(`${printable(name)}: the name of a macro has no blanks`);
    this.#tokens.advance();
    const values = this.#tokens.strings(`${printable(name)} =: expected a value, in quotes`);
    if (values === undefined) return false;
    if (this.#macros.get(name)?.isGiven !== true)
      this.#macros.set(name, { name, value: values, isUsed: false, isGiven: false });
    return true;
  }

  #stateDefinition(): boolean {
    const { line } = this.#tokens;
    this.#tokens.advance();
    const name = this.#tokens.strings("state: expected its name");
    if (name === undefined) return false;
    const earlier = this.#states.get(name);
    if (earlier !== undefined)
      this.#tokens.complain(line, `state ${printable(name)}: defined already on line ${earlier.line}`);
    this.#tokens.skipNewlines();
    if (this.#tokens.kind !== "{") return this.#tokens.unexpected(`{ behind state ${printable(name)}`);
    const state = { ...openState(name), line };
    if (earlier === undefined) this.#states.set(name, state);
    this.#state = state;
    const isWhole = this.#block(() =>
      this.#tokens.kind === "init" ? this.#init() : this.#action(state.body),
    );
    this.#state = this.#always;
    return isWhole;
  }

  #init(): boolean {
    this.#tokens.advance();
    return this.#actionBlock(this.#state.init, "init");
  }

  /** `{`, statements, `}`. */
  #block(statement: () => boolean): boolean {
    const { line } = this.#tokens;
    this.#tokens.advance();
    this.#blocks++;
    for (;;) {
      this.#tokens.skipNewlines();
      if (this.#tokens.kind === "end" || this.#tokens.kind === "}") break;
      if (statement()) this.#endOfStatement();
      else this.#skipStatement();
    }
    this.#blocks--;
    return this.#tokens.accept("}") || this.#tokens.fail(`{: no } for the { of line ${line}`);
  }

  /** A block of actions, or one action. */
  #actionBlock(into: Action[], behind: string): boolean {
    this.#tokens.skipNewlines();
    if (this.#tokens.kind === "{") return this.#block(() => this.#action(into));
    return this.#action(into, `{ or an action behind ${behind}`);
  }

  #action(into: Action[], expected = "run, set-state or if"): boolean {
    switch (this.#tokens.kind) {
      case "run": {
        this.#tokens.advance();
        const command = this.#tokens.string("run: expected a command, in quotes");
        if (command !== undefined) into.push({ kind: "run", command: command.text });
        return command !== undefined;
      }
      case "set-state":
        return this.#setState(into);
      case "if":
        return this.#tokens.nested(() => this.#condition(into)) ?? false;
      case "init":
        return this.#tokens.fail("init: only in a state, and not in a block of it");
      default:
        return this.#tokens.unexpected(expected);
    }
  }

  #setState(into: Action[]): boolean {
    if (this.#state === this.#always) return this.#tokens.fail("set-state: only in a state");
    this.#tokens.advance();
    const name = this.#tokens.string("set-state: expected the name of a state");
    if (name === undefined) return false;
    this.#named.push({ name: name.text, line: name.line });
    into.push({ kind: "set-state", to: name.text });
    return true;
  }

  #condition(into: Action[]): boolean {
    this.#tokens.advance();
    const expression = readExpression(this.#tokens, this.#testsOf(this.#state));
    const actions: Action[] = [];
    if (expression === undefined) {
      // The error is on this line; the block that the line opens is read all the same.
      while (!["{", "newline", "end", "}"].includes(this.#tokens.kind)) this.#tokens.advance();
      return this.#tokens.kind === "{" && this.#actionBlock(actions, "if");
    }
    into.push({ kind: "if", expression, actions });
    return this.#actionBlock(actions, "the test of if");
  }

  /** Adds to the tests of a state. */
  #testsOf({ tests, interfaces }: OpenState): TestsOfState {
    return {
      external: (command, seconds) => {
        const same = tests.find((each) => each.command === command && each.seconds === seconds);
        const test = same ?? { command, seconds };
        if (same === undefined) tests.push(test);
        return test;
      },
      link: (name, line) => {
        interfaces.add(name);
        if (!this.#interfaces.has(name)) this.#interfaces.set(name, line);
      },
    };
  }

  #endOfStatement(): void {
    const { kind } = this.#tokens;
    if (kind === "newline" || kind === "end" || kind === "}") return;
    this.#tokens.unexpected("the end of the line");
    this.#skipStatement();
  }

  /** Up to the end of the line, or of the blocks that begin on it. */
  #skipStatement(): void {
    for (let open = 0; ; this.#tokens.advance()) {
      const { kind } = this.#tokens;
      if (kind === "end" || (open === 0 && kind === "newline")) return;
      if (kind === "}" && open === 0 && this.#blocks > 0) return;
      if (kind === "{") open++;
      if (kind === "}") open = Math.max(0, open - 1);
    }
  }
}

function openState(name: string): OpenState {
  return { name, init: [], body: [], interfaces: new Set(), tests: [] };
}
