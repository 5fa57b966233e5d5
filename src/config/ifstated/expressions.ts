/** The expressions of ifstated.conf(5): tests of links and of commands, and what joins them. */

import { printable } from "../../control/printable.ts";
import { type Expression, type ExternalTest, LINK_STATES, type Link } from "./syntax.ts";
import type { Tokens } from "./tokens.ts";

const MOST_SECONDS = 2 ** 32 - 1;
const INTERFACE_NAME = /^(?!\.{1,2}$)[^\s/\p{Cc}]{1,15}$/u;
const TESTS = 'IF.link.up, "COMMAND" every N, ! or (';

/** The tests of the state in which the expression stands. */
export interface TestsOfState {
  external(command: string, seconds: number): ExternalTest;
  link(name: string, line: number): void;
}

/** @returns undefined when it is none, which was complained about */
export function readExpression(tokens: Tokens, tests: TestsOfState): Expression | undefined {
  const first = readOperand(tokens, tests, "if");
  if (first === undefined) return undefined;
  const rest: Link[] = [];
  for (;;) {
    const { kind: operator } = tokens;
    if (operator !== "&&" && operator !== "||") break;
    tokens.advance();
    const of = readOperand(tokens, tests, operator);
    if (of === undefined) return undefined;
    rest.push({ operator, of });
  }
  return rest.length === 0 ? first : { kind: "chain", first, rest };
}

/** @param behind what it stands behind, for complaints */
function readOperand(tokens: Tokens, tests: TestsOfState, behind: string): Expression | undefined {
  switch (tokens.kind) {
    case "!":
      return tokens.nested(() => {
        tokens.advance();
        const of = readOperand(tokens, tests, "!");
        return of && { kind: "not", of };
      });
    case "(":
      return tokens.nested(() => {
        tokens.advance();
        const inside = readExpression(tokens, tests);
        if (inside === undefined || tokens.accept(")")) return inside;
        return void tokens.unexpected("), && or ||");
      });
    case "string":
    case "number":
      return readTest(tokens, tests);
    case "newline":
      return void tokens.fail(
        `${behind}: expected ${TESTS}, and the line ends here; a backslash at its end continues it`,
      );
    default:
      return void tokens.unexpected(`${TESTS} behind ${behind}`);
  }
}

function readTest(tokens: Tokens, tests: TestsOfState): Expression | undefined {
  const { text, line } = tokens;
  tokens.advance();
  if (tokens.accept("every")) return readExternal(tokens, tests, text);
  // The name of an interface may have dots.
  let name = text;
  while (tokens.accept(".")) {
    if (tokens.accept("link")) return readLink(tokens, tests, name, line);
    if (!tokens.isString) return void noLink(tokens, `${name}.`);
    name += `.${tokens.text}`;
    tokens.advance();
  }
  return void tokens.complain(line, `${printable(name)}: expected ${TESTS}${glued(name)}`);
}

/** Behind `every`. */
function readExternal(tokens: Tokens, tests: TestsOfState, command: string): Expression | undefined {
  const { kind, text } = tokens;
  if (kind !== "number") return void tokens.unexpected("a number of seconds behind every");
  const seconds = Number(text);
  if (seconds < 1 || seconds > MOST_SECONDS)
    return void tokens.fail(`every ${printable(text)}: must be 1..${MOST_SECONDS} seconds`);
  tokens.advance();
  return { kind: "external", test: tests.external(command, seconds) };
}

/** Behind `.link`. */
function readLink(tokens: Tokens, tests: TestsOfState, name: string, line: number): Expression | undefined {
  if (!tokens.accept(".")) return void noLink(tokens, `${name}.link`, false);
  const is = LINK_STATES.find((each) => each === tokens.kind);
  if (is === undefined) return void noLink(tokens, `${name}.link.`);
  tokens.advance();
  if (!INTERFACE_NAME.test(name))
    return void tokens.complain(line, `${printable(name)}: not the name of a network interface`);
  tests.link(name, line);
  return { kind: "link", interface: name, is };
}

/** @param begun the test so far; the present token may belong to it */
function noLink(tokens: Tokens, begun: string, isInIt = true): void {
  const { kind, text } = tokens;
  const word = isInIt && kind !== "newline" && kind !== "end" ? `${begun}${text}` : begun;
  tokens.fail(`${printable(word)}: expected IF.link.up, IF.link.down or IF.link.unknown${glued(text)}`);
}

/** A hint: an operator without blanks around it is part of a word. */
function glued(word: string): string {
  return /&&|\|\|/.test(word) ? "; && and || need a blank on each side" : "";
}
