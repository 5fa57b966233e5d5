/**
 * Makes the section DIAGNOSTICS of carpctl(8) from the topics that `carpctl help` has: `node bin/diagnostics.ts` writes
 * it into the page, and a test compares.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Topic } from "../src/topics/topic.ts";
import { GROUPS } from "../src/topics/topics.ts";

const WIDTH = 80;

const HEADING = ".Sh DIAGNOSTICS\n";

const INTRODUCTION = `.\\" Made by bin/diagnostics.ts from src/topics.
Each error and warning of
.Cm doctor
and
.Cm check
ends in its name in brackets; those about parts of an interface that are not in
place, and about wrong digests, do so in the output of
.Cm status
as well, and a line
.Dq problem:
of an interface.
.Nm Cm help Ar name
prints what is below, and
.Nm Cm help findings
lists all names.
`;

/** The text of the section, without its heading. */
export function diagnostics(): string {
  const groups = GROUPS.flatMap(({ title, topics }) => [
    `.Ss ${title}`,
    ".Bl -tag -width Ds",
    ...Object.entries(topics).flatMap(([name, topic]) => entry(name, topic)),
    ".El",
  ]);
  return `${INTRODUCTION}${groups.join("\n")}\n`;
}

function entry(name: string, { level, meaning, see, todo }: Topic): string[] {
  return [
    `.It Li ${name} Pq ${level}`,
    ...mdoc(meaning),
    ...(see === undefined ? [] : [".Em See :", ...mdoc(see)]),
    ".Em \\&Do :",
    ...mdoc(todo),
  ];
}

/** Systems that mdoc has macros for. */
const SYSTEMS: Readonly<Record<string, string>> = { FreeBSD: "Fx", NetBSD: "Nx", OpenBSD: "Ox" };

/** A command between quotes or a system, with the punctuation around it; an apostrophe begins no command. */
const WORDS = /(?<=^|\s)(\(?)(?:'([^']+)'|(FreeBSD|NetBSD|OpenBSD))([.,;:)]*)(?=\s|$)/;

/** Sentences begin on lines of their own, and commands are literals. */
function mdoc(text: string): string[] {
  const parts = text.split(WORDS);
  const lines: string[] = [];
  for (let at = 0; at < parts.length; at += 5) {
    const [plain = "", opening = "", command, system = "", closing = ""] = parts.slice(at, at + 5);
    for (const sentence of plain.trim().split(/(?<=[.?!]) (?=[A-Z])/)) lines.push(...wrapped(sentence));
    const word =
      command === undefined ? [`.${SYSTEMS[system]}`, opening] : [".Ql", opening, `"${escaped(command)}"`];
    if (at + 1 < parts.length) lines.push([...word, ...closing].filter(Boolean).join(" "));
  }
  return lines;
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of escaped(text).split(" ").filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  // A line that begins so would be a macro.
  return lines.map((line) => (/^[.']/.test(line) ? `\\&${line}` : line));
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\e");
}

if (import.meta.main) {
  const path = join(import.meta.dirname, "../man/carpctl.8");
  const page = readFileSync(path, "utf8");
  const [before = "", after = ""] = page.split(HEADING);
  writeFileSync(path, `${before}${HEADING}${diagnostics()}${after.slice(after.indexOf(".Sh "))}`);
}
