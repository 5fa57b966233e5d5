/** The addon's calls about processes and interfaces, against real sockets and groups. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { errnoName, native } from "../../../src/kernel/native.ts";
import { nativeProcess } from "../../../src/kernel/process/native-process.ts";
import { datagramsAt } from "./datagrams.ts";

const directory = mkdtempSync(join(tmpdir(), "carpctl-native-"));
after(() => rmSync(directory, { recursive: true }));

function descriptorOf(socket: Socket): number {
  return Reflect.get(Reflect.get(socket, "_handle"), "fd");
}

test("the peer of a Unix socket is known by process, user and groups", async () => {
  const path = join(directory, "peer");
  const server = createServer().listen(path);
  await once(server, "listening");
  const client = connect(path);
  const [accepted] = (await once(server, "connection")) as [Socket];
  const credentials = nativeProcess.peerCredentials(descriptorOf(accepted));
  assert.equal(credentials?.pid, process.pid);
  assert.equal(credentials?.uid, process.getuid?.());
  assert.equal(credentials?.gid, process.getgid?.());
  const [, listed = ""] = /^Groups:\t(.*)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  assert.deepEqual(credentials?.groups, listed.split(" ").filter(Boolean).map(Number));
  client.destroy();
  accepted.destroy();
  server.close();
});

test("what is no Unix socket has no peer", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const client = connect(address.port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [Socket];
  assert.equal(nativeProcess.peerCredentials(descriptorOf(accepted)), undefined);
  assert.equal(nativeProcess.peerCredentials(-1), undefined);
  client.destroy();
  accepted.destroy();
  server.close();
});

test("memory that the program needs no longer is given back, and what it needs is found again", () => {
  /** In kB, of the mappings of the program's file. */
  const resident = () => {
    let inProgram = false;
    let sum = 0;
    for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
      if (/^[0-9a-f]+-/.test(line)) inProgram = line.endsWith(process.execPath);
      else if (inProgram) sum += Number(/^Rss:\s+(\d+) kB/.exec(line)?.[1] ?? 0);
    }
    return sum;
  };
  const before = resident();
  nativeProcess.giveBackMemory();
  const after = resident();
  assert.ok(after < 0.7 * before, `${before} kB before, ${after} kB after`);
  assert.deepEqual([3, 1, 2].toSorted(), [1, 2, 3]);
});

test("a group's number is found by its name", () => {
  const [name, , id] = readFileSync("/etc/group", "utf8").split("\n").at(-2)?.split(":") ?? [];
  assert.equal(nativeProcess.groupId(String(name)), Number(id));
  assert.equal(nativeProcess.groupId("no such group"), undefined);
  assert.equal(nativeProcess.groupId(""), undefined);
});

test("an interface's name is found by its index", () => {
  assert.equal(native.interfaceName(1), "lo");
  assert.equal(native.interfaceName(0), undefined);
  assert.equal(native.interfaceName(2 ** 31 - 1), undefined);
});

test("datagrams reach a Unix socket by its path or abstract name, and errors are told", async () => {
  const path = join(directory, "datagrams");
  for (const [listened, sent] of [
    [path, path],
    [`@${path}`, `\0${path}`],
  ] as const) {
    const datagrams = await datagramsAt(listened);
    assert.equal(nativeProcess.sendDatagram(sent, Buffer.from("hello")), 0);
    assert.equal(await datagrams.next(), "hello");
    await datagrams.close();
  }
  assert.equal(errnoName(nativeProcess.sendDatagram(path, Buffer.from("x"))), "ECONNREFUSED");
  assert.equal(errnoName(nativeProcess.sendDatagram(join(directory, "nothing"), Buffer.from("x"))), "ENOENT");
  assert.equal(errnoName(nativeProcess.sendDatagram("x".repeat(200), Buffer.from("x"))), "ENAMETOOLONG");
  assert.equal(errnoName(nativeProcess.sendDatagram("", Buffer.from("x"))), "ENAMETOOLONG");
});

test("errno names are those of the kernel's headers", () => {
  assert.deepEqual([100, 105, 6, 113, 112].map(errnoName), [
    "ENETDOWN",
    "ENOBUFS",
    "ENXIO",
    "EHOSTUNREACH",
    "EHOSTDOWN",
  ]);
  assert.equal(errnoName(4000), "errno 4000");
});
