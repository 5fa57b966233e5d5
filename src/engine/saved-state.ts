/**
 * What an engine that is killed leaves to the next: the configuration, and the advertisement counters up to which it
 * may have sent. Only root can read it, it is whole or it is not there, and whatever looks otherwise is not used.
 */

import { constants, existsSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import {
  AddedAddress,
  Advbase,
  Balancing,
  CarpNodes,
  Carppeer,
  Carppeer6,
  Description,
  DeviceName,
  GroupName,
  InterfaceName,
  MacAddress,
  Mtu,
  NamedDemotion,
  Pass,
} from "../control/messages.ts";
import { shown } from "../control/shown.ts";
import type { HostConfiguration } from "../core/host.ts";
import { HIGHEST_COUNTER } from "../core/own-counters.ts";
import { newInterface } from "../core/reconfigure.ts";
import { SYSCTL_VARIABLES } from "../core/sysctl.ts";
import type { SavedCounters } from "./counter-floor.ts";

const FORMAT = 1;
const MAX_BYTES = 16 * 1024 * 1024;

/** What a command may add, without the word about how it is added. */
const SavedAddress = z
  .looseObject({})
  .transform((address) => ({ ...address, alias: true }))
  .pipe(AddedAddress)
  .transform(({ alias: _, ...address }) => address);

const SavedInterface = z.strictObject({
  name: InterfaceName,
  up: z.boolean(),
  carpdev: DeviceName.optional(),
  nodes: CarpNodes.or(z.tuple([])),
  advbase: Advbase,
  pass: Pass,
  carppeer: Carppeer.optional(),
  carppeer6: Carppeer6.optional(),
  balancing: Balancing,
  lladdr: MacAddress.optional(),
  groups: z.array(GroupName),
  description: Description.optional(),
  mtu: Mtu.optional(),
  addresses: z.array(SavedAddress),
});

const Counter = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((text) => (BigInt(text) < HIGHEST_COUNTER ? BigInt(text) : HIGHEST_COUNTER));

const SavedVariable = z.strictObject({ name: z.string(), value: z.int() }).superRefine((saved, context) => {
  const variable = SYSCTL_VARIABLES.find(({ name }) => name === saved.name);
  if (variable === undefined) context.addIssue({ code: "custom", message: "a variable that there is not" });
  else if (saved.value < variable.min || saved.value > variable.max)
    context.addIssue({
      code: "custom",
      message: `${variable.name} ${saved.value}: must be ${variable.min}..${variable.max}`,
    });
});

/** Each under its name once: what were there twice would count twice. */
function distinct<T extends Readonly<Record<K, string>>, K extends string>(
  item: z.ZodType<T>,
  key: K,
  what: string,
) {
  return z
    .array(item)
    .refine((all) => new Set(all.map((each) => each[key])).size === all.length, `${what} is there twice`);
}

const SavedGroup = z.strictObject({ name: GroupName, carpDemoteCount: z.int().positive() });

const Saved = z.strictObject({
  format: z.literal(FORMAT),
  /** No counter greater than this has been sent. */
  counterCeiling: Counter,
  /** An engine from before it went by this saved the ceiling alone. */
  counters: z.strictObject({ upTo: Counter, atUs: z.number().nonnegative() }).optional(),
  interfaces: distinct(SavedInterface, "name", "an interface"),
  sysctl: distinct(SavedVariable, "name", "a variable"),
  groups: distinct(SavedGroup, "name", "a group"),
  /** An engine from before there were reasons saved none. */
  reasons: distinct(NamedDemotion, "reason", "a reason").default([]),
});

const Format = z.looseObject({ format: z.int() });

export interface SavedState {
  readonly configuration: HostConfiguration;
  readonly counterCeiling: bigint;
  readonly counters?: SavedCounters | undefined;
}

export class StateFile {
  readonly #path: string;
  readonly #runDir: string;
  #writing: Promise<void> = Promise.resolve();
  #next: SavedState | undefined;
  #isThere = false;

  constructor(runDir: string) {
    this.#runDir = runDir;
    this.#path = join(runDir, "state.json");
  }

  /** @returns what was saved, or why it cannot be used; undefined when nothing was */
  async load(): Promise<SavedState | { readonly unusable: string } | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return undefined;
      // An engine has no privilege to read what is not its user's.
      const why = code === "EACCES" ? "others may have written it" : code;
      return { unusable: `${this.#path}: ${why}` };
    }
    try {
      const { uid, mode, size } = await file.stat();
      if (uid !== process.geteuid?.() || (mode & 0o077) !== 0)
        return { unusable: `${this.#path}: others may have written it` };
      if (size > MAX_BYTES) return { unusable: `${this.#path}: too large` };
      const json: unknown = JSON.parse(await file.readFile("utf8"));
      const format = Format.safeParse(json).data?.format;
      if (format !== undefined && format > FORMAT)
        return { unusable: `${this.#path}: format ${format} is a newer version's, this one knows ${FORMAT}` };
      const saved = Saved.parse(json);
      this.#isThere = true;
      const interfaces = saved.interfaces.map((each) => ({ ...newInterface(each.name), ...each }));
      return {
        configuration: { interfaces, sysctl: saved.sysctl, groups: saved.groups, reasons: saved.reasons },
        counterCeiling: saved.counterCeiling,
        counters: saved.counters,
      };
    } catch (error) {
      const why = error instanceof z.ZodError ? (error.issues[0]?.message ?? "garbled") : "garbled";
      return { unusable: `${this.#path}: ${shown(why)}` };
    } finally {
      await file.close();
    }
  }

  /** Writes, and replaces what was there in one step. Of several asked for meanwhile only the last is written. */
  save(state: SavedState): Promise<void> {
    const alreadyWaiting = this.#next !== undefined;
    this.#next = state;
    if (alreadyWaiting) return this.#writing;
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    return this.#writing;
  }

  /** What cannot be used is kept for a person, or for the version that wrote it: the next save replaces it. */
  async setAside(): Promise<string> {
    const aside = `${this.#path}.unusable`;
    await rename(this.#path, aside);
    return aside;
  }

  /** Whether somebody else has removed what was saved; says so once. */
  takeRemoval(): boolean {
    if (!this.#isThere || existsSync(this.#path)) return false;
    this.#isThere = false;
    return true;
  }

  async remove(): Promise<void> {
    await this.#writing.catch(() => {});
    this.#isThere = false;
    await rm(this.#path, { force: true });
  }

  async #write(): Promise<void> {
    const state = this.#next;
    this.#next = undefined;
    if (state === undefined) return;
    const { interfaces, sysctl, groups = [], reasons = [] } = state.configuration;
    const { counterCeiling, counters } = state;
    const saved = { format: FORMAT, counterCeiling, counters, interfaces, sysctl, groups, reasons };
    const text = JSON.stringify(saved, (_, value) => (typeof value === "bigint" ? String(value) : value));
    await mkdir(this.#runDir, { recursive: true, mode: 0o755 });
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    this.#isThere = true;
    const directory = await open(this.#runDir, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
