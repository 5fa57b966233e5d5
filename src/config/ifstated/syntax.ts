/** An ifstated.conf(5) file as data: states, their actions and tests. Types alone. */

export const LINK_STATES = ["up", "down", "unknown"] as const;
export type LinkState = (typeof LINK_STATES)[number];

/** `"COMMAND" every SECONDS`: true while the command's exit status is 0. Written twice in a state, it is one test. */
export interface ExternalTest {
  readonly command: string;
  readonly seconds: number;
}

export type Operator = "&&" | "||";

export type Expression =
  | { readonly kind: "link"; readonly interface: string; readonly is: LinkState }
  | { readonly kind: "external"; readonly test: ExternalTest }
  | { readonly kind: "not"; readonly of: Expression }
  /** From left to right: `&&` and `||` bind alike. */
  | { readonly kind: "chain"; readonly first: Expression; readonly rest: readonly Link[] };

/** An operand behind the first one of a chain. */
export interface Link {
  readonly operator: Operator;
  readonly of: Expression;
}

export type Action =
  | { readonly kind: "run"; readonly command: string }
  | { readonly kind: "set-state"; readonly to: string }
  | { readonly kind: "if"; readonly expression: Expression; readonly actions: readonly Action[] };

/** A state, or what stands outside of every state. */
export interface State {
  /** '' outside of every state. */
  readonly name: string;
  /** Performed when the state is entered. */
  readonly init: readonly Action[];
  /** Performed after `init`, and whenever a test of the state changes. */
  readonly body: readonly Action[];
  /** The interfaces of its link tests. */
  readonly interfaces: ReadonlySet<string>;
  readonly tests: readonly ExternalTest[];
}

export interface Macro {
  readonly name: string;
  readonly value: string;
  readonly isUsed: boolean;
}

export interface Configuration {
  readonly always: State;
  readonly states: ReadonlyMap<string, State>;
  /** Undefined: there is no state. */
  readonly initial: State | undefined;
  readonly macros: readonly Macro[];
  /** The interfaces of all link tests, and the line that first names each. */
  readonly interfaces: ReadonlyMap<string, number>;
}
