/**
 * Runs a test file inside a network namespace of its own, with veth pairs between its ends: no frame of a test ever
 * reaches a real network, and the namespace goes with the process. Needs root, and fails without it.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const mark = "CARPCTL_TEST_NAMESPACE";

/** First statement of a test file: the file starts over inside a new namespace, and only there does this return. */
export function enterNamespace(file: string): void {
  if (process.env[mark] !== undefined) {
    ip("link set lo up");
    return;
  }
  const command = [process.execPath, ...process.execArgv, fileURLToPath(file), ...process.argv.slice(2)];
  const { status, error } = spawnSync("unshare", ["--net", ...command], {
    stdio: "inherit",
    env: { ...process.env, [mark]: "1" },
  });
  if (error !== undefined) throw error;
  process.exit(status ?? 1);
}

/** `ip` with these words. */
export function ip(words: string): string {
  return execFileSync("ip", words.split(" "), { encoding: "utf8" });
}

export interface End {
  readonly name: string;
  readonly index: number;
  readonly mac: Buffer;
}

/** Two ends of a cable, both up, silent but for what is sent through them. */
export function cable(left: string, right: string): [End, End] {
  ip(`link add ${left} type veth peer name ${right}`);
  for (const name of [left, right]) ip(`link set ${name} addrgenmode none up`);
  return [end(left), end(right)];
}

export function end(name: string): End {
  const [link] = JSON.parse(ip(`-j link show dev ${name}`));
  return { name, index: link.ifindex, mac: Buffer.from(link.address.replaceAll(":", ""), "hex") };
}
