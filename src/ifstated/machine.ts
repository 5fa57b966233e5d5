/**
 * The state machine of ifstated(8), pure: an event goes in, and what is to be done comes out step by step, each step
 * with its answer before the next one. One event is handled at a time; the caller queues the others, so that none is
 * lost while a command runs. Semantics are those of OpenBSD's ifstated.
 */

import type {
  Action,
  Configuration,
  Expression,
  ExternalTest,
  LinkState,
  State,
} from "../config/ifstated/syntax.ts";
import { INTERFACE_NAME } from "../control/limits.ts";

export type Step =
  | { readonly kind: "log"; readonly text: string }
  /** Run the command and go on when it has ended. */
  | { readonly kind: "run"; readonly command: string }
  /** Run the test and answer its exit status; undefined: it did not exit. */
  | { readonly kind: "test"; readonly test: ExternalTest }
  /** Run the test every so many seconds from now on, each time for `tested`. */
  | { readonly kind: "schedule"; readonly test: ExternalTest }
  /** End that, and kill the test if it runs. */
  | { readonly kind: "cancel"; readonly test: ExternalTest }
  /** States follow each other in a circle: go on after a while. */
  | { readonly kind: "pause" };

/** Steps in their order; `next` gets the answer to the one before. */
export type Steps = Generator<Step, void, number | undefined>;

/** Changes of state that one event may cause before the rest of them has to wait. */
const MOST_CHANGES = 100;

export class Machine {
  readonly #configuration: Configuration;
  readonly #links: Map<string, LinkState>;
  /** The last exit status of each test; absent: it has never exited. */
  readonly #statuses = new Map<ExternalTest, number>();
  #current: State | undefined;
  #next: State | undefined;

  /** @param links of every interface that the configuration names */
  constructor(configuration: Configuration, links: ReadonlyMap<string, LinkState>) {
    this.#configuration = configuration;
    this.#links = new Map(links);
  }

  /** Performs the actions outside of the states, and then enters the initial state. */
  *begin(): Steps {
    const { always, initial } = this.#configuration;
    yield* this.#beginTests(always);
    yield* this.#perform(always.body);
    if (initial === undefined) return;
    yield { kind: "log", text: `initial state: ${initial.name}` };
    this.#next = initial;
    yield* this.#changeState();
  }

  /** An interface's link has another state. */
  *link(name: string, state: LinkState): Steps {
    if (this.#links.get(name) === state) return;
    this.#links.set(name, state);
    for (const scope of [this.#configuration.always, this.#current])
      if (scope?.interfaces.has(name)) yield* this.#evaluate(scope);
  }

  /** A test has exited. */
  *tested(test: ExternalTest, status: number): Steps {
    if (this.#statuses.get(test) === status) return;
    this.#statuses.set(test, status);
    for (const scope of [this.#configuration.always, this.#current])
      if (scope?.tests.includes(test)) yield* this.#evaluate(scope);
  }

  *#evaluate(scope: State): Steps {
    yield* this.#perform(scope.body);
    yield* this.#changeState();
  }

  /** Enters the state that was set last, and any that is set there. Actions behind a set-state have been performed. */
  *#changeState(): Steps {
    for (let changes = 1; this.#next !== undefined && this.#next !== this.#current; changes++) {
      if (changes % MOST_CHANGES === 0) {
        yield { kind: "log", text: `${MOST_CHANGES} changes of state in a row: do they end?` };
        yield { kind: "pause" };
      }
      const state = this.#next;
      this.#next = undefined;
      yield { kind: "log", text: `changing state to ${state.name}` };
      yield* this.#cancelTests(this.#current);
      this.#current = state;
      yield* this.#beginTests(state);
      yield* this.#perform(state.init);
      yield* this.#perform(state.body);
    }
    this.#next = undefined;
  }

  *#beginTests(scope: State): Steps {
    for (const test of scope.tests) {
      const status = yield { kind: "test", test };
      if (status !== undefined) this.#statuses.set(test, status);
      yield { kind: "schedule", test };
    }
  }

  *#cancelTests(scope: State | undefined): Steps {
    for (const test of scope?.tests ?? []) yield { kind: "cancel", test };
  }

  *#perform(actions: readonly Action[]): Steps {
    for (const action of actions) {
      if (action.kind === "run") yield { kind: "run", command: action.command };
      else if (action.kind === "set-state") this.#next = this.#configuration.states.get(action.to);
      else if (this.#truth(action.expression) === true) yield* this.#perform(action.actions);
    }
  }

  /** Undefined: nothing is known of any test in it. Such an expression is not true, and neither is its negation. */
  #truth(expression: Expression): boolean | undefined {
    switch (expression.kind) {
      case "link":
        return isLink(expression.interface, this.#links.get(expression.interface), expression.is);
      case "external": {
        const status = this.#statuses.get(expression.test);
        return status === undefined ? undefined : status === 0;
      }
      case "not": {
        const of = this.#truth(expression.of);
        return of === undefined ? undefined : !of;
      }
      case "chain": {
        let value = this.#truth(expression.first);
        for (const { operator, of } of expression.rest) {
          const next = this.#truth(of);
          if (value === undefined && next === undefined) continue;
          value = operator === "&&" ? value === true && next === true : value === true || next === true;
        }
        return value;
      }
    }
  }
}

/**
 * A device whose driver tells nothing of its link is up as well as unknown, as on OpenBSD; a carp interface in INIT is
 * unknown alone.
 */
function isLink(name: string, state: LinkState | undefined, is: LinkState): boolean {
  return state === is || (state === "unknown" && is === "up" && !INTERFACE_NAME.test(name));
}
