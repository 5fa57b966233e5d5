/** CHANGELOG.md as a Debian changelog. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { debianChangelog, releasesOf } from "../../../bin/package/changelog.ts";

const tree = join(import.meta.dirname, "../../..");
const OURS = { name: "carpctl", maintainer: "A <a@b.org>", today: new Date("2026-11-30T12:00:00Z") };

test("releases, sections and changes keep their order, and long changes are folded", () => {
  const markdown = `# Changelog

Words before the first release.

## 0.2.0 (unreleased)

### Added

- One thing.
- Another thing, of which so much can be said that it takes more than one line here and
  there, and a word: ${"w".repeat(90)}.

### Fixed

- A third.

## 0.1.0 (2026-10-02)

The first.

- A change without a section.
`;
  assert.equal(
    debianChangelog(markdown, OURS),
    `carpctl (0.2.0) UNRELEASED; urgency=medium

  [ Added ]
  * One thing.
  * Another thing, of which so much can be said that it takes more than one line
    here and there, and a word:
    ${"w".repeat(90)}.

  [ Fixed ]
  * A third.

 -- A <a@b.org>  Mon, 30 Nov 2026 12:00:00 +0000

carpctl (0.1.0) unstable; urgency=medium

  * The first.
  * A change without a section.

 -- A <a@b.org>  Fri, 02 Oct 2026 00:00:00 +0000
`,
  );
});

test("the newest release of CHANGELOG.md has the version of package.json, and no change is lost", () => {
  const markdown = readFileSync(join(tree, "CHANGELOG.md"), "utf8");
  const { version } = JSON.parse(readFileSync(join(tree, "package.json"), "utf8"));
  const [newest] = releasesOf(markdown);
  assert.equal(newest?.version, version);
  const changes = markdown.match(/^- /gm)?.length ?? 0;
  const told = debianChangelog(markdown, OURS).match(/^ {2}\* /gm)?.length ?? 0;
  assert.ok(changes > 50);
  // The sentence before the sections.
  assert.equal(told, changes + 1);
});
