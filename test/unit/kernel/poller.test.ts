/** The poller reports what has changed without a notification, once, and nothing else. Needs root. */

import assert from "node:assert/strict";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Polling } from "../../../src/kernel/kernel.ts";
import { native } from "../../../src/kernel/native.ts";
import { RtNetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { Poller } from "../../../src/kernel/polling/poller.ts";
import {
  addCarpdev,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  temporaryRunDir,
  writeConf,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

let poller: Poller;
let directory: ReturnType<typeof temporaryRunDir>;

beforeEach(() => {
  poller = new Poller(5);
  directory = temporaryRunDir();
  addCarpdev();
});

afterEach(() => {
  poller.close();
  clearNetwork();
  directory.remove();
});

const indexOf = (name: string) =>
  native.interfaceIndexes().find((index) => native.interfaceName(index) === name) ?? 0;

/** Watches things of one kind; `next` resolves with the keys that are reported together, and those known before. */
function watching(kind: Parameters<Polling["watch"]>[0], atOnce = 100) {
  let waiting = Promise.withResolvers<readonly string[]>();
  const watch = poller.watch(kind, atOnce, (keys) => {
    waiting.resolve(keys);
    waiting = Promise.withResolvers();
  });
  return { ...watch, next: () => waiting.promise };
}

/** Resolves when everything has been looked at since, with the keys of `of` that were reported meanwhile. */
async function looked(of: { next(): Promise<readonly string[]> }): Promise<readonly string[]> {
  const path = join(directory.path, "looked");
  const last = watching("file");
  const reported = of.next();
  for (let times = 0; times < 3; times++) {
    const next = last.next();
    if (times === 0) last.add(path);
    else last.doubt(path);
    await next;
  }
  last.remove(path);
  return Promise.race([reported, Promise.resolve([])]);
}

test("a link is reported once, and when a setting or what the program reads of it was changed", async () => {
  const links = watching("link");
  const index = String(indexOf("eth0"));
  const isReported = async (change: () => void) => {
    const next = links.next();
    change();
    assert.deepEqual(await next, [index]);
    assert.deepEqual(await looked(links), []);
  };
  await isReported(() => links.add(index));
  await isReported(() => writeConf("eth0", "arp_ignore", 1));
  await isReported(() => writeConf("eth0", "accept_ra", 0, 6));
  await isReported(() => ip("link set eth0 mtu 1400"));
  await isReported(() => ip("link set eth0 alias other"));
  await isReported(() => links.doubt(index));
  await isReported(() => ip("link del eth0"));
});

test("a link is not reported for what the program does not read, as a bridge's timers", async () => {
  ip("link add br0 type bridge");
  ip("link set br0 up");
  const links = watching("link");
  const next = links.next();
  links.add(indexOf("br0"));
  await next;
  ip("link set br0 type bridge forward_delay 1000");
  ip("link set br0 txqueuelen 77");
  assert.deepEqual(await looked(links), []);
});

test("a link that is as a notification told is not reported", async () => {
  const told = Promise.withResolvers<Uint8Array>();
  const index = indexOf("eth0");
  const net = new RtNetlink(
    {
      notice: (notice, message) => {
        if (notice.kind === "link" && notice.link.alias === "other") told.resolve(Uint8Array.from(message));
      },
      overrun: () => {},
    },
    1 << 20,
  );
  ip("link set eth0 alias other");
  const message = await told.promise;
  net.close();
  const links = watching("link");
  // The next look is a while away.
  await looked(links);
  links.add(index);
  poller.know(message);
  assert.deepEqual(await looked(links), []);
});

test("links take turns, and each is reported", async () => {
  const links = watching("link", 2);
  const all = ["eth0", "eth0-far", "lo"].map((name) => String(indexOf(name)));
  const reported = new Set<string>();
  for (let next = links.next(); reported.size < all.length; next = links.next()) {
    if (reported.size === 0) for (const index of all) links.add(index);
    for (const key of await next) reported.add(key);
  }
  assert.deepEqual([...reported].toSorted(), all.toSorted());
});

test("a file is reported when it is removed, there again, replaced and changed; a text when it is another", async () => {
  const path = join(directory.path, "file");
  const files = watching("file");
  const texts = watching("text");
  const isReported = async (of: typeof files, change: () => void) => {
    const next = of.next();
    change();
    assert.deepEqual(await next, [path]);
  };
  await isReported(files, () => files.add(path));
  await isReported(files, () => writeFileSync(path, "1"));
  await isReported(texts, () => texts.add(path));
  assert.deepEqual(await looked(files), []);
  await isReported(files, () => {
    writeFileSync(`${path}.new`, "1");
    renameSync(`${path}.new`, path);
  });
  assert.deepEqual(await looked(texts), []);
  await isReported(texts, () => writeFileSync(path, "2"));
  await isReported(texts, () => rmSync(path));
  files.remove(path);
  texts.remove(path);
  writeFileSync(path, "3");
  assert.deepEqual(await looked(files), []);
  assert.deepEqual(await looked(texts), []);
});
