/**
 * `npm run demo`: two hosts share an address, the master's cable is pulled and plugged in again, and a client counts its
 * lost pings; with `-- firewall`, the demonstration of demo-firewall.ts. Real commands and real frames, in network
 * namespaces that are removed afterwards.
 */

import chalk from "chalk";
import { createNetwork, type Host, type Network, type PingReport } from "./hosts/index.ts";

const ADDRESS = "10.0.0.1";

if (process.getuid?.() !== 0) {
  console.error("demo: needs root, to make network namespaces");
  process.exit(1);
}

const [name, ...more] = process.argv.slice(2);
if (name === "firewall" && more.length === 0) {
  const { demonstrateFirewalls } = await import("./demo-firewall.ts");
  await demonstrateFirewalls();
} else if (name === undefined) {
  const lan = await createNetwork();
  try {
    await demonstrate(lan);
  } finally {
    lan.destroy();
  }
} else {
  console.error(`demo: ${[name, ...more].join(" ")}: unknown demonstration (firewall)`);
  process.exitCode = 2;
}

async function demonstrate(lan: Network): Promise<void> {
  const [a, b, client] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
    lan.host("client", { addresses: ["10.0.0.9/24"] }),
  ]);
  await Promise.all([a.startEngine(), b.startEngine()]);

  tell(`Hosts a and b share ${ADDRESS}; a is the preferred MASTER. A client pings the address.`);
  for (const host of [a, b]) await type(host, "sysctl net.inet.carp.preempt=1");
  await type(a, `carp0 ${ADDRESS}/24 carpdev eth0 vhid 1 pass sesame`);
  await a.waitForState("carp0", "MASTER");
  await type(b, `carp0 ${ADDRESS}/24 carpdev eth0 vhid 1 pass sesame advskew 100`);
  const advertisements = await b.capture("eth0", "ip proto 112");
  await Promise.all([
    b.waitForState("carp0", "BACKUP"),
    advertisements.waitFor(({ carp }) => carp?.vhid === 1),
  ]);
  await advertisements.stop();
  await type(a, "carp0");
  await type(b, "status");

  const duringFailure = client.startPing(ADDRESS, { intervalMs: 10 });
  await duringFailure.waitForReply();
  tell("\nThe client pings every 10 ms. The cable of a is pulled:");
  await a.pullCable();
  await Promise.all([a.waitForState("carp0", "INIT"), b.waitForState("carp0", "MASTER")]);
  await duringFailure.waitForReply();
  await type(b, "status");
  report(await duringFailure.stop());

  const duringReturn = client.startPing(ADDRESS, { intervalMs: 10 });
  await duringReturn.waitForReply();
  tell("\nThe cable is plugged in again:");
  await a.plugCable();
  await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp0", "BACKUP")]);
  await duringReturn.waitForReply();
  await type(a, "status");
  await type(b, "status");
  report(await duringReturn.stop());

  await Promise.all([a.engine.stop(), b.engine.stop()]);
}

function tell(text: string): void {
  console.log(chalk.dim(text));
}

async function type(host: Host, command: string): Promise<void> {
  console.log(chalk.bold(`${host.name}# carpctl ${command}`));
  process.stdout.write((await host.carpctl(...command.split(" "))).stdout);
}

function report({ sent, received, longestGapMs }: PingReport): void {
  const longest =
    longestGapMs < 1000 ? `${Math.round(longestGapMs)} ms` : `${(longestGapMs / 1000).toFixed(2)} s`;
  const text = `The client: ${received} of ${sent} pings answered, the longest time without an answer ${longest}.`;
  console.log(chalk.green(text));
}
