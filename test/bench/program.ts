/** The programs in programs/, which are compiled when they are first used. */

import { join } from "node:path";
import { execa } from "execa";
import type { Host } from "../hosts/index.ts";
import { makeDirectory } from "../hosts/resources.ts";
import type { Spawned } from "../hosts/spawned.ts";

const compiled = new Map<string, Promise<string>>();

/** @returns its path */
function compile(name: string): Promise<string> {
  const source = join(import.meta.dirname, "programs", `${name}.c`);
  const path = compiled.get(name) ?? build(source, join(makeDirectory(name), name));
  compiled.set(name, path);
  return path;
}

async function build(source: string, program: string): Promise<string> {
  await execa("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
  return program;
}

/** Starts one of the programs on a host. */
export async function start(
  host: Host,
  name: "echo-probe" | "advertisements" | "busy" | "flood" | "pauses" | "cold",
  words: readonly string[],
): Promise<Spawned> {
  return host.spawn(await compile(name), words);
}

/** Ends a program that prints a report at SIGTERM. @returns the lines, each as its words */
export async function reportOf(program: Spawned): Promise<string[][]> {
  const from = program.log.length;
  program.kill("SIGTERM");
  const { code } = await program.exited;
  if (code !== 0) throw new Error(`exit ${code}: ${program.log}`);
  return program.log.lines.slice(from).map(({ text }) => text.split(" "));
}
