/**
 * Tells which of ifconfig's forms a command line is. Reading forms are recognised without loading the keyword
 * table, because scripts use them often; change-words.ts reads the words behind an interface's name.
 */

import { INTERFACE_NAME, LIMITS } from "../../../control/limits.ts";
import type { InterfaceChange } from "../../../control/messages.ts";
import { printable } from "../../../control/printable.ts";
import { hasDevice } from "../../network-device.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import { type GlobalOptions, type OptionsAndWords, takeGlobalOptions } from "../options.ts";
import type { Lookups } from "./lookups.ts";

export type Form =
  /** One interface or the members of a group; without a name every interface. */
  | { readonly kind: "show"; readonly name?: string | undefined }
  | { readonly kind: "cloners" }
  | { readonly kind: "group"; readonly group: string }
  | { readonly kind: "demote-group"; readonly group: string; readonly by: number }
  | { readonly kind: "create"; readonly name?: string | undefined }
  | { readonly kind: "destroy"; readonly name: string }
  | {
      readonly kind: "change";
      readonly name: string;
      readonly change: InterfaceChange;
      /** `create` was among the words: refused when the interface exists. */
      readonly create: boolean;
      readonly warnings: readonly string[];
    }
  /** FreeBSD's form: the carp interface of that carpdev and the change's vhid. */
  | {
      readonly kind: "change-on";
      readonly carpdev: string;
      readonly change: InterfaceChange;
      readonly warnings: readonly string[];
    }
  /** Not a command; `message` where it says more than the usage line. */
  | { readonly kind: "misused"; readonly message?: string | undefined };

export interface FormWithOptions {
  readonly form: Form;
  readonly options: GlobalOptions;
}

export const USAGE = "carpctl [-aAC] [-g GROUP [carpdemote [N]]] [INTERFACE [PARAMETERS...]]";

export async function readForm(
  words: readonly string[],
  options: GlobalOptions,
  lookups?: Lookups,
): Promise<FormWithOptions | Refusal> {
  const [first, ...rest] = words;
  if (first === undefined) return { form: { kind: "show" }, options };
  if (first === "create" || first === "destroy") return clonerForm(first, rest, options, lookups);
  if (first.startsWith("-")) return optionForm(first, rest, options);
  return interfaceForm(first, rest, options, lookups);
}

/** `create [NAME [WORDS...]]`, `destroy NAME`: as if the name came first. */
async function clonerForm(
  verb: "create" | "destroy",
  rest: readonly string[],
  start: GlobalOptions,
  lookups: Lookups | undefined,
): Promise<FormWithOptions | Refusal> {
  const taken = takeGlobalOptions(start, rest);
  if (isRefusal(taken)) return taken;
  const [name, ...words] = taken.words;
  if (name !== undefined) return interfaceForm(name, [verb, ...words], taken.options, lookups);
  const form: Form =
    verb === "create" ? { kind: "create" } : { kind: "misused", message: "destroy: needs an interface" };
  return { form, options: taken.options };
}

function optionForm(
  option: string,
  rest: readonly string[],
  start: GlobalOptions,
): FormWithOptions | Refusal {
  const taken = takeGlobalOptions(start, rest);
  if (isRefusal(taken)) return taken;
  const { options, words } = taken;
  const [first, ...others] = words;
  if (option === "-g" && first !== undefined) return groupForm(first, others, options);
  if (option === "-a" || option === "-A") {
    const form: Form = others.length > 0 ? { kind: "misused" } : { kind: "show", name: first };
    return { form, options };
  }
  if (option === "-C" && first === undefined) return { form: { kind: "cloners" }, options };
  const known = option === "-g" || option === "-C";
  return {
    form: { kind: "misused", ...(known ? {} : { message: `${printable(option)}: unknown option` }) },
    options,
  };
}

function groupForm(group: string, rest: readonly string[], start: GlobalOptions): FormWithOptions | Refusal {
  const taken = takeGlobalOptions(start, rest);
  if (isRefusal(taken)) return taken;
  const { options, words } = taken;
  const [word, amount = "1", ...others] = words;
  if (word === undefined) return { form: { kind: "group", group }, options };
  if (word !== "carpdemote" && word !== "-carpdemote") return refuse(`${printable(word)}: unknown parameter`);
  if (others.length > 0) return { form: { kind: "misused" }, options };
  const steps = /^[0-9]+$/.test(amount) ? Number(amount) : Number.NaN;
  const [min, max] = LIMITS.carpdemote;
  if (!(steps <= max)) return refuse(`carpdemote ${printable(amount)}: must be ${min}..${max}`);
  return { form: { kind: "demote-group", group, by: word === "carpdemote" ? steps : 0 - steps }, options };
}

async function interfaceForm(
  name: string,
  rest: readonly string[],
  start: GlobalOptions,
  lookups: Lookups | undefined,
): Promise<FormWithOptions | Refusal> {
  const taken: OptionsAndWords | Refusal = takeGlobalOptions(start, rest);
  if (isRefusal(taken)) return taken;
  if (taken.words.length === 0) return { form: { kind: "show", name }, options: taken.options };
  if (!INTERFACE_NAME.test(name)) return deviceForm(name, taken, lookups);
  const { readChange } = await import("./change-words.ts");
  const read = await readChange(name, taken.words, taken.options, lookups);
  if (isRefusal(read)) return read;
  const { options, change, create, destroy, warnings } = read;
  if (destroy) return { form: { kind: "destroy", name }, options };
  if (Object.keys(change).length > 0)
    return { form: { kind: "change", name, change, create, warnings }, options };
  return { form: create ? { kind: "create", name } : { kind: "show", name }, options };
}

/** `eth0 vhid 1 WORDS...`, or `eth0 ADDRESS -alias` as FreeBSD removes a shared address. */
async function deviceForm(
  carpdev: string,
  { words, options: start }: OptionsAndWords,
  lookups: Lookups | undefined,
): Promise<FormWithOptions | Refusal> {
  const shown = printable(carpdev);
  // carp01 is a carp interface that was typed wrong.
  if (/^carp\d/.test(carpdev) || !(words.includes("vhid") || hasDevice(carpdev)))
    return refuse(`${shown}: not a carp interface name (carp0, carp1, ...)`);
  const { readChange } = await import("./change-words.ts");
  const read = await readChange(carpdev, words, start, lookups);
  if (isRefusal(read)) return read;
  const { options, change, create, destroy, warnings } = read;
  if (create || destroy)
    return refuse(
      `${create ? "create" : "destroy"}: takes a carp interface (carp0, carp1, ...), not ${shown}`,
    );
  if (Object.keys(change).length === 0) return { form: { kind: "show", name: carpdev }, options };
  const onlyRemoves = change.removeAddresses !== undefined && Object.keys(change).length === 1;
  if (change.vhid === undefined && !onlyRemoves) {
    const word = printable(words[0]);
    return refuse(
      `${word}: needs a vhid: ${shown} is no carp interface (carpctl ${shown} vhid N ${word} ...)`,
    );
  }
  return { form: { kind: "change-on", carpdev, change, warnings }, options };
}
