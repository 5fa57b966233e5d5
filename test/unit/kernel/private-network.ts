/**
 * Network namespaces for tests: `enterPrivateNetwork` runs the calling test file again in one of its own, which goes
 * with its last process; `Peer` is a second one, joined by a veth. Nothing here touches the host's own network.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device, Link } from "../../../src/core/model.ts";
import { openDocument } from "../../../src/engine/state/document.ts";
import { createLinks } from "../../../src/kernel/devices/links.ts";
import type { LinkEvents, Links } from "../../../src/kernel/kernel.ts";
import { Poller } from "../../../src/kernel/polling/poller.ts";

const MARK = "CARPCTL_TEST_PRIVATE_NETWORK";

/** Call before any test is declared. The file's tests are reported as if it had run in place. */
export function enterPrivateNetwork(testFile: string): void {
  const here = readlinkSync("/proc/self/ns/net");
  const left = process.env[MARK];
  if (left !== undefined) {
    assert.notEqual(here, left, "unshare --net gave no namespace of its own");
    return;
  }
  const run = spawnSync(
    "unshare",
    ["--net", process.execPath, ...process.execArgv, fileURLToPath(testFile)],
    { stdio: "inherit", env: { ...process.env, [MARK]: here } },
  );
  if (run.error) throw run.error;
  process.exit(run.status ?? 1);
}

/** Runs `ip` with these words. */
export function ip(words: string): string {
  return execFileSync("ip", words.split(" "), { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function ipBatch(lines: readonly string[]): void {
  execFileSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n`, stdio: ["pipe", "pipe", "pipe"] });
}

export const conf = (device: string, setting: string, family: 4 | 6 = 4) =>
  `/proc/sys/net/ipv${family}/conf/${device}/${setting}`;
export const readConf = (device: string, setting: string, family: 4 | 6 = 4) =>
  Number(readFileSync(conf(device, setting, family), "utf8"));
export const writeConf = (device: string, setting: string, value: number, family: 4 | 6 = 4) =>
  writeFileSync(conf(device, setting, family), `${value}\n`);

/** Every link but loopback goes. */
export function clearNetwork(): void {
  for (let left = links(); left.length > 0; left = links()) ip(`link del ${left[0]}`);
}

const links = (): string[] =>
  ip("-o link show")
    .split("\n")
    .map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1])
    .filter((name): name is string => name !== undefined && name !== "lo");

/** eth0 and its other end, both up. */
export function addCarpdev(name = "eth0"): void {
  ip(`link add ${name} type veth peer name ${name}-far`);
  ip(`link set ${name}-far up`);
  ip(`link set ${name} up`);
}

export function temporaryRunDir(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "carp-links-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The links of an engine of this run directory; not started. */
export function openLinks(runDir: string, events: LinkEvents, receiveBufferBytes?: number): Links {
  const document = (name: string) => openDocument(join(runDir, `${name}.json`));
  const poller = new Poller(POLLING_MS);
  const links = createLinks({
    runDir,
    placed: document("placed-addresses"),
    settings: document("carpdev-settings"),
    events,
    polling: poller,
    ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
  });
  const close = links.close.bind(links);
  links.close = () => {
    close();
    poller.close();
  };
  return links;
}

const POLLING_MS = 100;

/** Resolves when `Links.apply` is done. */
export const apply = (links: Links, name: string, device: Device | null): Promise<void> =>
  new Promise((resolve) => links.apply(name, device, resolve));

/** A host at the far end of a veth. */
export class Peer {
  readonly #process: ChildProcess;

  constructor() {
    // Ends with its standard input, and so with this process, however that ends.
    this.#process = spawn("unshare", ["--net", "sh", "-c", "echo ready; read _"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  async take(device: string): Promise<void> {
    const output = this.#process.stdout;
    assert.ok(output);
    await new Promise((resolve) => output.once("data", resolve));
    ip(`link set ${device} netns ${this.#process.pid}`);
  }

  run(command: string, ...words: string[]): string {
    const { stdout } = spawnSync("nsenter", [`--net=/proc/${this.#process.pid}/ns/net`, command, ...words], {
      encoding: "utf8",
    });
    return stdout;
  }

  ip(words: string): string {
    return this.run("ip", ...words.split(" "));
  }

  end(): void {
    this.#process.stdin?.end();
  }
}

/** Far longer than any notification takes. */
const GIVE_UP_MS = 20_000;

type Heard =
  | { readonly kind: "link"; readonly link: Link }
  | { readonly kind: "gone"; readonly name: string }
  | { readonly kind: "unfit"; readonly name: string; readonly why: string | undefined }
  | { readonly kind: "placed"; readonly name: string; readonly errors: readonly string[] }
  | { readonly kind: "device"; readonly name: string; readonly index: number }
  | { readonly kind: "repaired"; readonly name: string; readonly what: string }
  | { readonly kind: "complaint"; readonly text: string };

/** Remembers every event, and waits for those still to come. */
export class Recorder implements LinkEvents {
  heard: Heard[] = [];
  #waiting: (() => void)[] = [];

  link(link: Link): void {
    this.#add({ kind: "link", link });
  }
  linkGone(name: string): void {
    this.#add({ kind: "gone", name });
  }
  unfit(name: string, why: string | undefined): void {
    this.#add({ kind: "unfit", name, why });
  }
  placed(name: string, errors: readonly string[]): void {
    this.#add({ kind: "placed", name, errors });
  }
  device(name: string, index: number): void {
    this.#add({ kind: "device", name, index });
  }
  repaired(name: string, what: string): void {
    this.#add({ kind: "repaired", name, what });
  }
  complaint(text: string): void {
    this.#add({ kind: "complaint", text });
  }

  /** Waits until something heard, from now back to the last `forget`, is as asked. */
  async until<T>(find: (heard: readonly Heard[]) => T | undefined | false): Promise<T> {
    let givenUp = false;
    const limit = setTimeout(() => {
      givenUp = true;
      this.#wake();
    }, GIVE_UP_MS);
    try {
      for (;;) {
        const found = find(this.heard);
        if (found !== undefined && found !== false) return found;
        if (givenUp) assert.fail(`not heard: ${find}\nheard: ${JSON.stringify(this.heard, null, 1)}`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(limit);
    }
  }

  repairs = () => this.heard.flatMap((each) => (each.kind === "repaired" ? [each.what] : []));
  complaints = () => this.heard.flatMap((each) => (each.kind === "complaint" ? [each.text] : []));
  /** The errors told last. */
  errors = (name = "carp0") =>
    this.heard.flatMap((each) => (each.kind === "placed" && each.name === name ? [each.errors] : [])).at(-1);
  repair = () => this.until(() => this.repairs()[0]);
  linkNamed = (name: string) =>
    this.heard.flatMap((each) => (each.kind === "link" && each.link.name === name ? [each.link] : [])).at(-1);
  forget(): void {
    this.heard = [];
  }

  #add(heard: Heard): void {
    this.heard.push(heard);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
