/**
 * StateFile: the saved state that a killed engine leaves to the next: the configuration and the advertisement
 * counters. The file is whole or absent and readable by its owner only; a file with other permissions or
 * content is never used.
 */

import { constants, existsSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import {
  Advbase,
  Announce,
  Balancing,
  CarpNodes,
  Carppeer,
  Carppeer6,
  Description,
  DeviceName,
  FormerAddress,
  GroupName,
  InterfaceName,
  Lladdr,
  MacAddress,
  Mtu,
  NamedDemotion,
  Pass,
  Preemptdelay,
  SavedUnit,
} from "../../control/messages.ts";
import { printable } from "../../control/printable.ts";
import type { HostConfiguration } from "../../core/command.ts";
import { HIGHEST_COUNTER } from "../../core/counters/own-counters.ts";
import { newInterface } from "../../core/interface/reconfigure.ts";
import { MOST_BY_SERVICES } from "../../core/service-demotion.ts";
import { SYSCTL_VARIABLES } from "../../core/sysctl.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { SavedCounters } from "./counter-floor.ts";
import { writeDurably } from "./durable-file.ts";

const FORMAT = 1;
const MAX_BYTES = 16 * 1024 * 1024;

/** An address as a command may have added it, without `alias`. */
const SavedAddress = z
  .looseObject({})
  .transform((address) => ({ ...address, alias: true }))
  .pipe(FormerAddress)
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
  lladdr: Lladdr.optional(),
  carpdevMacs: z.array(MacAddress).default([]),
  announce: Announce.optional(),
  preemptdelay: Preemptdelay.optional(),
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
  if (variable === undefined) context.addIssue({ code: "custom", message: "unknown variable" });
  else if (saved.value < variable.min || saved.value > variable.max)
    context.addIssue({
      code: "custom",
      message: `${variable.name} ${saved.value}: must be ${variable.min}..${variable.max}`,
    });
});

/** An array in which no key occurs twice: a duplicate would count twice. */
function distinct<T extends Readonly<Record<K, string>>, K extends string>(
  item: z.ZodType<T>,
  key: K,
  what: string,
) {
  return z
    .array(item)
    .refine((all) => new Set(all.map((each) => each[key])).size === all.length, `duplicate ${what}`);
}

/** A key for each window, as the core has it. */
const SavedWindows = z
  .array(
    z.strictObject({
      interface: InterfaceName,
      vhid: z.int().min(1).max(255),
      greatestUs: Counter,
      atUs: z.number().nonnegative(),
      hosts: z.array(z.int().min(0).max(255)).max(256),
    }),
  )
  .refine(
    (all) => new Set(all.map((each) => `${each.interface}/${each.vhid}`)).size === all.length,
    "duplicate window",
  );

const SavedVhid = z.strictObject({ interface: InterfaceName, vhid: z.int().min(1).max(255) });

/** Passes and addresses of before a change, oldest first. */
const SavedGrace = z.strictObject({
  interface: InterfaceName,
  formers: z
    .array(
      z.strictObject({
        pass: Pass,
        addresses: z.array(
          z.string().refine((text) => parseAddress(text)?.address === text, "garbled address"),
        ),
        untilUs: z.number().nonnegative(),
      }),
    )
    .max(16),
  signs: z.int().nonnegative().optional(),
  changesOverUs: z.number().nonnegative(),
});

const SavedCheck = z.strictObject({
  file: z.string(),
  name: z.string(),
  by: z.int().positive().max(MOST_BY_SERVICES),
  group: GroupName.optional(),
  isScheduled: z.boolean().optional(),
});

const SavedGroup = z.strictObject({ name: GroupName, carpDemoteCount: z.int().positive() });

const Saved = z.strictObject({
  format: z.literal(FORMAT),
  counters: z.strictObject({ upTo: Counter, atUs: z.number().nonnegative() }),
  interfaces: distinct(SavedInterface, "name", "interface"),
  sysctl: distinct(SavedVariable, "name", "variable"),
  groups: distinct(SavedGroup, "name", "group"),
  reasons: distinct(NamedDemotion, "reason", "reason"),
  units: distinct(SavedUnit, "unit", "unit").default([]),
  failedChecks: distinct(SavedCheck, "file", "check").default([]),
  windows: SavedWindows.default([]),
  signsLinkLocals: z.array(SavedVhid).default([]),
  graces: distinct(SavedGrace, "interface", "grace").default([]),
});

const Format = z.looseObject({ format: z.int() });

export interface SavedState {
  readonly configuration: HostConfiguration;
  readonly counters: SavedCounters;
}

export class StateFile {
  readonly path: string;
  readonly #runDir: string;
  #writing: Promise<void> = Promise.resolve();
  #next: SavedState | undefined;
  #isThere = false;

  constructor(runDir: string) {
    this.#runDir = runDir;
    this.path = join(runDir, "state.json");
  }

  /** Reads the saved state. @returns why it cannot be used, where it cannot; undefined: there is none */
  async load(): Promise<SavedState | { readonly unusable: string } | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return undefined;
      // An engine has no privilege to read another user's file.
      const why = code === "EACCES" ? "others may have written it" : code;
      return { unusable: `${this.path}: ${why}` };
    }
    try {
      const { uid, mode, size } = await file.stat();
      if (uid !== process.geteuid?.() || (mode & 0o077) !== 0)
        return { unusable: `${this.path}: others may have written it` };
      if (size > MAX_BYTES) return { unusable: `${this.path}: too large` };
      const json: unknown = JSON.parse(await file.readFile("utf8"));
      const format = Format.safeParse(json).data?.format;
      if (format !== undefined && format > FORMAT)
        return { unusable: `${this.path}: format ${format} is a newer version's, this one knows ${FORMAT}` };
      const saved = Saved.parse(json);
      this.#isThere = true;
      const interfaces = saved.interfaces.map((each) => ({ ...newInterface(each.name), ...each }));
      const { counters, format: _, ...others } = saved;
      return { configuration: { ...others, interfaces }, counters };
    } catch (error) {
      const why = error instanceof z.ZodError ? (error.issues[0]?.message ?? "garbled") : "garbled";
      return { unusable: `${this.path}: ${printable(why)}` };
    } finally {
      await file.close();
    }
  }

  /**
   * Replaces the file in one step. Of several saves asked for while one is written, only the last is written.
   */
  save(state: SavedState): Promise<void> {
    const alreadyWaiting = this.#next !== undefined;
    this.#next = state;
    if (alreadyWaiting) return this.#writing;
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    return this.#writing;
  }

  /** Renames a state that cannot be used, for a person or the version that wrote it. @returns its new path */
  async setAside(): Promise<string> {
    const aside = `${this.path}.unusable`;
    await rename(this.path, aside);
    return aside;
  }

  /** Whether another program has removed the file; true once. */
  takeRemoval(): boolean {
    if (!this.#isThere || existsSync(this.path)) return false;
    this.#isThere = false;
    return true;
  }

  /** Removes the saved state. */
  async remove(): Promise<void> {
    await this.#writing.catch(() => {});
    this.#isThere = false;
    await rm(this.path, { force: true });
  }

  async #write(): Promise<void> {
    const state = this.#next;
    this.#next = undefined;
    if (state === undefined) return;
    const { configuration, counters } = state;
    const text = JSON.stringify({ format: FORMAT, counters, ...configuration }, (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    await mkdir(this.#runDir, { recursive: true, mode: 0o755 });
    await writeDurably(this.path, text);
    this.#isThere = true;
  }
}
