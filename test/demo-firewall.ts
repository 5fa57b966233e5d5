/**
 * `npm run demo -- firewall`: two firewalls with nftables and conntrackd between a client and a server. The cable of
 * the MASTER is pulled during a transfer and plugged in again, and the transfer goes on.
 */

import chalk from "chalk";
import { createFirewalls, type Firewall, SERVER } from "./net/firewalls.ts";
import { serve, Transfer } from "./net/transfers.ts";

const SHARED = "advbase 0 advskew";

export async function demonstrateFirewalls(): Promise<void> {
  tell(
    "Two firewalls between the client 10.0.0.9 and the server 192.0.2.9, which it reaches by NAT as 192.0.2.1:",
  );
  const pair = await createFirewalls();
  try {
    await demonstrate(pair);
  } finally {
    pair.destroy();
  }
}

async function demonstrate({ a, b, client, server }: Awaited<ReturnType<typeof createFirewalls>>) {
  await type(a, "nft list chain inet firewall known");
  await a.share(`${SHARED} 50`);
  await a.waitForState("MASTER");
  await b.share(`${SHARED} 100`);
  await b.waitForState("BACKUP");
  await type(a, "carpctl status");
  await serve(server);
  const transfer = await Transfer.start(client, { target: SERVER[4], rate: 40 });
  await states(b, "b, the BACKUP, knows");
  tell("\nThe client downloads 40 MB a second. The inner cable of a, the MASTER, is pulled:");
  await transfer.goesOn();

  await a.host.pullCable("eth0");
  await b.waitForState("MASTER");
  await goesOn(transfer);
  await type(b, "carpctl status");

  tell("\nThe cable is plugged in again, and a preempts:");
  await a.host.plugCable("eth0");
  await a.waitForState("MASTER");
  await b.waitForState("BACKUP");
  await goesOn(transfer);

  tell(
    "\na is switched off; it comes back with no states, and stays BACKUP until conntrackd has those of b:",
  );
  await a.die();
  await b.waitForState("MASTER");
  await goesOn(transfer);
  await a.boot();
  const received = a.startHook();
  await received.log.waitFor(/bulk start/);
  await a.share(`${SHARED} 50`);
  await received.exited;
  for (const { text } of received.log.lines) console.log(`a: ${text}`);
  await a.waitForState("MASTER");
  await goesOn(transfer);

  const { bytes, error } = await transfer.stop();
  if (error !== null) throw new Error(`the transfer broke: ${error}`);
  console.log(chalk.green(`The client: one connection, ${megabytes(bytes)} in order, no reset.`));
}

async function goesOn(transfer: Transfer): Promise<void> {
  const { stallMs, bytes } = await transfer.goesOn();
  console.log(
    chalk.green(`The client: the transfer goes on, ${megabytes(bytes)}; the longest pause ${stallMs} ms.`),
  );
}

async function states(firewall: Firewall, who: string): Promise<void> {
  const [tcp = "none"] = /^tcp .*sport.*$/m.exec(await firewall.ask("-e")) ?? [];
  console.log(`${who}: ${tcp.replace(/\s+/g, " ")}`);
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

function tell(text: string): void {
  console.log(chalk.dim(text));
}

async function type({ host }: Firewall, command: string): Promise<void> {
  console.log(chalk.bold(`${host.name}# ${command}`));
  const [program = "", ...words] = command.split(" ");
  const output =
    program === "carpctl" ? (await host.carpctl(...words)).stdout : await host.run(program, ...words);
  process.stdout.write(output);
}
