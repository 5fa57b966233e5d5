/** What the Debian package has, by the lists that it is made from: every manual, completion and unit, and each link. */

import assert from "node:assert/strict";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { files } from "../../../bin/package/debian.ts";
import { NAMES } from "../../../src/cli/grammar/program-names.ts";
import { CARP_GROUP, ENGINE_USER } from "../../../src/kernel/process/privileges.ts";
import { called } from "../cli/called.ts";

const tree = join(import.meta.dirname, "../../..");
const read = (file: string) => readFileSync(join(tree, "src/install", file), "utf8");
const wordsOf = (file: string) =>
  read(file)
    .trim()
    .split("\n")
    .map((line) => line.split(" "));

process.chdir(tree);

test("every file of the tree that the package is made of is there, and none of its kind is left out", () => {
  const from = files().map(([file]) => file);
  assert.deepEqual(
    from.filter((file) => !existsSync(file)),
    [],
  );
  for (const file of [...globSync("man/*"), ...globSync("completions/*")])
    assert.ok(from.includes(file), file);
  const ofInstall = globSync("src/install/*").filter((file) => !from.includes(file));
  assert.deepEqual(ofInstall, []);
});

test("debhelper's lists name what is copied for them", () => {
  const to = files().map(([, place]) => place);
  // The program and its addon are made.
  const made = ["carpctl", "carp.node", "third-party-licences"];
  const lists = ["install", "manpages", "examples", "docs"].flatMap((list) =>
    wordsOf(`debian/carpctl.${list}`),
  );
  for (const [file = ""] of lists)
    assert.ok(
      made.includes(file) || to.some((each) => each === file || `${each.split("/")[0]}/*` === file),
      file,
    );
  const listed = lists.map(([file = ""]) => file.split("/")[0]);
  // Units are put where debhelper looks for them.
  const rules = read("debian/rules");
  for (const place of to.map((each) => each.split("/")[0] ?? "").filter((each) => each !== "debian"))
    assert.ok(listed.includes(place) || rules.includes(` ${place}/*`), place);
});

test("each name of the program is a link", () => {
  const links = wordsOf("debian/carpctl.links").map(([, link = ""]) => basename(link));
  for (const name of ["carpd", "ifconfig", "netstart", "sysctl"]) {
    assert.ok(NAMES.has(name), name);
    assert.ok(links.includes(name), name);
  }
});

test("each unit that is enabled is named in the rules", () => {
  const rules = read("debian/rules");
  for (const unit of globSync("src/install/systemd/*"))
    if (readFileSync(unit, "utf8").includes("\n[Install]\n"))
      assert.match(rules, new RegExp(`dh_installsystemd .*${basename(unit)}$`, "m"));
});

test("the user and the group are those that the engine asks for", () => {
  const entries = read("carpctl.sysusers").split("\n");
  assert.ok(entries.some((line) => line.startsWith(`u ${ENGINE_USER} `)));
  assert.ok(entries.some((line) => line.startsWith(`g ${CARP_GROUP} `)));
});

test("netstart accepts the example", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "hostname.carp0"), read("examples/hostname.carp0"), { mode: 0o600 });
  const { status, out, err } = await called(["netstart", "-n"], { CARP_ETC_DIR: directory });
  assert.deepEqual({ status, err }, { status: 0, err: "" });
  assert.match(out, /carpdev eth0/);
});
