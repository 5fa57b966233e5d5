/** CHANGELOG.md as a Debian changelog. Pure: text in, text out. */

export interface Release {
  readonly version: string;
  /** ISO 8601; undefined: not released yet. */
  readonly date: string | undefined;
  /** What was said before the first section. */
  readonly sections: readonly Section[];
}

export interface Section {
  readonly title: string | undefined;
  readonly changes: readonly string[];
}

export interface Package {
  readonly name: string;
  readonly maintainer: string;
  /** The date of a release that has none yet. */
  readonly today: Date;
}

/** Debian's changelogs are read on terminals, and lintian wants no longer lines. */
const WIDTH = 80;

/** The releases of a changelog in the form of Keep a Changelog, newest first. */
export function releasesOf(markdown: string): readonly Release[] {
  const [, ...releases] = markdown.split(/^## /m);
  return releases.map((text) => {
    const [, version = "", date = ""] = /^(\S+)(?: \((.*)\))?$/m.exec(text) ?? [];
    return {
      version,
      date: /^\d{4}-\d\d-\d\d$/.test(date) ? date : undefined,
      sections: text
        .slice(text.indexOf("\n"))
        .split(/^### /m)
        .map(sectionOf)
        .filter(({ changes }) => changes.length > 0),
    };
  });
}

/** @param text of the part before the first section too, which has no title */
function sectionOf(text: string, n: number): Section {
  const [title = "", ...rest] = text.split("\n");
  const lines = n === 0 ? text : rest.join("\n");
  const changes = lines
    .split(/\n(?=- )|\n\n/)
    .map((change) => change.trim().replace(/^- /, "").replace(/\s+/g, " "))
    .filter((change) => change !== "");
  return { title: n === 0 ? undefined : title, changes };
}

export function debianChangelog(markdown: string, { name, maintainer, today }: Package): string {
  return releasesOf(markdown)
    .map(({ version, date, sections }) => {
      const released = date === undefined ? today : new Date(`${date}T00:00:00Z`);
      const body = sections.map(({ title, changes }) =>
        [...(title === undefined ? [] : [`  [ ${title} ]`]), ...changes.map(asChange)].join("\n"),
      );
      return [
        `${name} (${version}) ${date === undefined ? "UNRELEASED" : "unstable"}; urgency=medium`,
        ...body,
        ` -- ${maintainer}  ${released.toUTCString().replace("GMT", "+0000")}`,
      ].join("\n\n");
    })
    .join("\n\n")
    .concat("\n");
}

/** `  * words`, folded. */
function asChange(words: string): string {
  const lines: string[] = [];
  let line = "  *";
  for (const word of words.split(" ")) {
    if (line.length + 1 + word.length > WIDTH && line.trim() !== "*") {
      lines.push(line);
      line = "   ";
    }
    line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}
