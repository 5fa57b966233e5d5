/**
 * The grammar of ifstated.conf(5), by recursive descent. Every error of a file is found: behind one, reading goes on
 * with the next line, or with the block that the line opens. Knows nothing of which interfaces exist.
 */

import { printable } from "../../control/printable.ts";
import { type Complaint, linesOf } from "../lines.ts";
import { Lexer, type Token, type TokenKind } from "./lexer.ts";
import {
  type Action,
  type Configuration,
  type Expression,
  type ExternalTest,
  LINK_STATES,
  type Link,
  type Macro,
  type State,
} from "./syntax.ts";

const MOST_SECONDS = 2 ** 32 - 1;
/** Blocks and expressions inside each other. */
const DEEPEST = 200;
/** No file of people has more; every further one would be about the same. */
const MOST_ERRORS = 100;
const INTERFACE_NAME = /^(?!\.{1,2}$)[^\s/\p{Cc}]{1,15}$/u;
const TESTS = 'IF.link.up, "COMMAND" every N, ! or (';

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
  readonly #lexer: Lexer;
  #token: Token;
  readonly #errors: Complaint[] = [];
  readonly #macros = new Map<string, OpenMacro>();
  readonly #states = new Map<string, OpenState & { readonly line: number }>();
  readonly #always = openState("");
  readonly #interfaces = new Map<string, number>();
  readonly #named: StateName[] = [];
  #initial: StateName | undefined;
  /** The state that is being read. */
  #state = this.#always;
  #depth = 0;
  /** Blocks that are open. */
  #blocks = 0;

  constructor(text: string, given: ReadonlyMap<string, string>) {
    for (const [name, value] of given) this.#macros.set(name, { name, value, isUsed: false, isGiven: true });
    this.#lexer = new Lexer(
      text,
      (name) => this.#valueOf(name),
      (line, message) => this.#complain(line, message),
    );
    this.#token = this.#lexer.next();
  }

  parse(): Parsed {
    while (this.#token.kind !== "end") {
      if (this.#token.kind === "newline") this.#advance();
      else if (this.#topLevel()) this.#endOfStatement();
      else this.#skipStatement();
    }
    for (const { name, line } of this.#named)
      if (!this.#states.has(name)) this.#complain(line, `set-state ${printable(name)}: no such state`);
    const initial = this.#initial;
    if (initial !== undefined && !this.#states.has(initial.name))
      this.#complain(initial.line, `init-state ${printable(initial.name)}: no such state`);
    if (this.#errors.length > 0)
      return { errors: this.#errors.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)) };
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
    switch (this.#token.kind) {
      case "init-state": {
        this.#advance();
        const name = this.#string("init-state: expected the name of a state");
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
        return this.#fail("init: only in a state");
      case "string":
      case "number":
        return this.#macroDefinition();
      default:
        return this.#unexpected("MACRO = VALUE, init-state, state, if or run");
    }
  }

  #macroDefinition(): boolean {
    const { text: name } = this.#token;
    this.#advance();
    if (this.#token.kind !== "=")
      return this.#unexpected(
        `= behind ${printable(name)}, as in MACRO = VALUE, or init-state, state, if or run`,
      );
    if (/\s/.test(name)) return this.#fail(`${printable(name)}: the name of a macro has no blanks`);
    this.#advance();
    const values = this.#strings(`${printable(name)} =: expected a value, in quotes`);
    if (values === undefined) return false;
    if (this.#macros.get(name)?.isGiven !== true)
      this.#macros.set(name, { name, value: values, isUsed: false, isGiven: false });
    return true;
  }

  #stateDefinition(): boolean {
    const { line } = this.#token;
    this.#advance();
    const name = this.#strings("state: expected its name");
    if (name === undefined) return false;
    const earlier = this.#states.get(name);
    if (earlier !== undefined)
      this.#complain(line, `state ${printable(name)}: defined already on line ${earlier.line}`);
    this.#skipNewlines();
    if (this.#token.kind !== "{") return this.#unexpected(`{ behind state ${printable(name)}`);
    const state = { ...openState(name), line };
    if (earlier === undefined) this.#states.set(name, state);
    this.#state = state;
    const isWhole = this.#block(() =>
      this.#token.kind === "init" ? this.#init() : this.#action(state.body),
    );
    this.#state = this.#always;
    return isWhole;
  }

  #init(): boolean {
    this.#advance();
    return this.#actionBlock(this.#state.init, "init");
  }

  /** `{`, statements, `}`. */
  #block(statement: () => boolean): boolean {
    const { line } = this.#token;
    this.#advance();
    this.#blocks++;
    for (;;) {
      this.#skipNewlines();
      if (this.#token.kind === "end" || this.#token.kind === "}") break;
      if (statement()) this.#endOfStatement();
      else this.#skipStatement();
    }
    this.#blocks--;
    return this.#accept("}") || this.#fail(`{: no } for the { of line ${line}`);
  }

  /** A block of actions, or one action. */
  #actionBlock(into: Action[], behind: string): boolean {
    this.#skipNewlines();
    if (this.#token.kind === "{") return this.#block(() => this.#action(into));
    return this.#action(into, `{ or an action behind ${behind}`);
  }

  #action(into: Action[], expected = "run, set-state or if"): boolean {
    switch (this.#token.kind) {
      case "run": {
        this.#advance();
        const command = this.#string("run: expected a command, in quotes");
        if (command !== undefined) into.push({ kind: "run", command: command.text });
        return command !== undefined;
      }
      case "set-state":
        return this.#setState(into);
      case "if":
        return this.#nested(() => this.#condition(into)) ?? false;
      case "init":
        return this.#fail("init: only in a state, and not in a block of it");
      default:
        return this.#unexpected(expected);
    }
  }

  #setState(into: Action[]): boolean {
    if (this.#state === this.#always) return this.#fail("set-state: only in a state");
    this.#advance();
    const name = this.#string("set-state: expected the name of a state");
    if (name === undefined) return false;
    this.#named.push({ name: name.text, line: name.line });
    into.push({ kind: "set-state", to: name.text });
    return true;
  }

  #condition(into: Action[]): boolean {
    this.#advance();
    const expression = this.#expression();
    const actions: Action[] = [];
    if (expression === undefined) {
      // What is wrong is on this line; the block that it opens is read all the same.
      while (!["{", "newline", "end", "}"].includes(this.#token.kind)) this.#advance();
      return this.#token.kind === "{" && this.#actionBlock(actions, "if");
    }
    into.push({ kind: "if", expression, actions });
    return this.#actionBlock(actions, "the test of if");
  }

  #expression(): Expression | undefined {
    const first = this.#operand();
    if (first === undefined) return undefined;
    const rest: Link[] = [];
    for (;;) {
      const { kind: operator } = this.#token;
      if (operator !== "&&" && operator !== "||") break;
      this.#advance();
      const of = this.#operand(operator);
      if (of === undefined) return undefined;
      rest.push({ operator, of });
    }
    return rest.length === 0 ? first : { kind: "chain", first, rest };
  }

  #operand(behind = "if"): Expression | undefined {
    switch (this.#token.kind) {
      case "!":
        return this.#nested(() => {
          this.#advance();
          const of = this.#operand("!");
          return of && { kind: "not", of };
        });
      case "(":
        return this.#nested(() => {
          this.#advance();
          const inside = this.#expression();
          if (inside === undefined) return undefined;
          if (this.#token.kind !== ")") return void this.#unexpected("), && or ||");
          this.#advance();
          return inside;
        });
      case "string":
      case "number":
        return this.#test();
      case "newline":
        return void this.#fail(
          `${behind}: expected ${TESTS}, and the line ends here; a backslash at its end continues it`,
        );
      default:
        return void this.#unexpected(`${TESTS} behind ${behind}`);
    }
  }

  #test(): Expression | undefined {
    const { text, line } = this.#token;
    this.#advance();
    if (this.#token.kind === "every") return this.#external(text);
    // The name of an interface may have dots.
    let name = text;
    while (this.#accept(".")) {
      const { kind, text: part } = this.#token;
      if (kind === "link") return this.#linkTest(name, line);
      if (kind !== "string" && kind !== "number") return void this.#noLinkTest(`${name}.`);
      name += `.${part}`;
      this.#advance();
    }
    return void this.#complain(line, `${printable(name)}: expected ${TESTS}${glued(name)}`);
  }

  #external(command: string): Expression | undefined {
    this.#advance();
    const { kind, text } = this.#token;
    if (kind !== "number") return void this.#unexpected("a number of seconds behind every");
    const seconds = Number(text);
    if (seconds < 1 || seconds > MOST_SECONDS)
      return void this.#fail(`every ${printable(text)}: must be 1..${MOST_SECONDS} seconds`);
    this.#advance();
    const { tests } = this.#state;
    const same = tests.find((each) => each.command === command && each.seconds === seconds);
    const test = same ?? { command, seconds };
    if (same === undefined) tests.push(test);
    return { kind: "external", test };
  }

  #linkTest(name: string, line: number): Expression | undefined {
    this.#advance();
    if (!this.#accept(".")) return void this.#noLinkTest(`${name}.link`, false);
    const is = LINK_STATES.find((each) => each === this.#token.kind);
    if (is === undefined) return void this.#noLinkTest(`${name}.link.`);
    this.#advance();
    if (!INTERFACE_NAME.test(name))
      return void this.#complain(line, `${printable(name)}: not the name of a network interface`);
    this.#state.interfaces.add(name);
    if (!this.#interfaces.has(name)) this.#interfaces.set(name, line);
    return { kind: "link", interface: name, is };
  }

  /** @param begun the test so far; the present token may belong to it */
  #noLinkTest(begun: string, isInIt = true): void {
    const { kind, text } = this.#token;
    const word = isInIt && kind !== "newline" && kind !== "end" ? `${begun}${text}` : begun;
    this.#fail(`${printable(word)}: expected IF.link.up, IF.link.down or IF.link.unknown${glued(text)}`);
  }

  /** A string; also a number. */
  #string(complaint: string): Token | undefined {
    const token = this.#token;
    if (token.kind !== "string" && token.kind !== "number") {
      const why = /^[a-z]/.test(token.text) ? `, and ${token.text} is a keyword: it needs quotes` : "";
      return void this.#fail(`${complaint}${why}`);
    }
    this.#advance();
    return token;
  }

  /** Strings behind each other, which are one with blanks in between. */
  #strings(complaint: string): string | undefined {
    const first = this.#string(complaint);
    if (first === undefined) return undefined;
    const all = [first.text];
    while (this.#token.kind === "string" || this.#token.kind === "number") {
      all.push(this.#token.text);
      this.#advance();
    }
    return all.join(" ");
  }

  #nested<T>(read: () => T): T | undefined {
    if (this.#depth >= DEEPEST) return void this.#fail(`more than ${DEEPEST} levels inside each other`);
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }

  #endOfStatement(): void {
    const { kind } = this.#token;
    if (kind === "newline" || kind === "end" || kind === "}") return;
    this.#unexpected("the end of the line");
    this.#skipStatement();
  }

  /** Up to the end of the line, or of the blocks that begin on it. */
  #skipStatement(): void {
    for (let open = 0; ; this.#advance()) {
      const { kind } = this.#token;
      if (kind === "end" || (open === 0 && kind === "newline")) return;
      if (kind === "}" && open === 0 && this.#blocks > 0) return;
      if (kind === "{") open++;
      if (kind === "}") open = Math.max(0, open - 1);
    }
  }

  #skipNewlines(): void {
    while (this.#token.kind === "newline") this.#advance();
  }

  #accept(kind: TokenKind): boolean {
    if (this.#token.kind !== kind) return false;
    this.#advance();
    return true;
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  /** Complains about the present token, unless the lexer has. */
  #unexpected(expected: string): false {
    return this.#fail(`${shown(this.#token)}: expected ${expected}`);
  }

  #fail(message: string): false {
    if (this.#token.kind !== "bad") this.#complain(this.#token.line, message);
    return false;
  }

  #complain(line: number, message: string): void {
    if (this.#errors.length < MOST_ERRORS) this.#errors.push({ line, message });
  }
}

function openState(name: string): OpenState {
  return { name, init: [], body: [], interfaces: new Set(), tests: [] };
}

const SHOWN: Partial<Record<TokenKind, string>> = { newline: "end of line", end: "end of file" };

function shown({ kind, text }: Token): string {
  return SHOWN[kind] ?? printable(text);
}

/** A hint: an operator without blanks around it is part of a word. */
function glued(word: string): string {
  return /&&|\|\|/.test(word) ? "; && and || need a blank on each side" : "";
}
