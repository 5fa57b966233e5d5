/**
 * The failovers of a pair of firewalls, by carp with the hook of the examples, or by keepalived with a script that gives
 * conntrackd the same requests. Each resolves when the next host is master on both sides.
 */

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../hosts/index.ts";
import type { Spawned } from "../hosts/spawned.ts";
import type { Firewall, Firewalls } from "../net/firewalls.ts";

/** The preferred host is the master at first; each method is called in the state that the one before leaves. */
export interface Failovers {
  readonly master: Firewall;
  /** The host that is master next. */
  readonly next: Firewall;
  begin(): Promise<void>;
  /** Of the preferred host, without a word. */
  die(): Promise<void>;
  /** It has the other's states, and takes over. */
  comeBack(): Promise<void>;
  /** It leaves in an orderly way. */
  giveWay(): Promise<void>;
  /** Of the other host, without a word. */
  otherDies(): Promise<void>;
  /** As in the beginning. */
  mend(): Promise<void>;
}

abstract class OfPair {
  protected readonly preferred: Firewall;
  protected readonly other: Firewall;
  master: Firewall;

  constructor({ a, b }: Firewalls) {
    this.preferred = a;
    this.other = b;
    this.master = a;
  }

  get next(): Firewall {
    return this.master === this.preferred ? this.other : this.preferred;
  }
}

/** 195 ms between two advertisements. */
const PREFERRED = "advbase 0 advskew 50";
const OTHER = "advbase 0 advskew 51";
const LESSER = "52";

export class CarpFailovers extends OfPair implements Failovers {
  async begin(): Promise<void> {
    await this.preferred.share(PREFERRED);
    await this.preferred.waitForState("MASTER");
    await this.other.share(OTHER);
    await this.other.waitForState("BACKUP");
  }

  async die(): Promise<void> {
    await this.preferred.die();
    await this.#isMaster(this.other);
  }

  async comeBack(): Promise<void> {
    await this.#boot(this.preferred, PREFERRED);
    await this.#isMaster(this.preferred);
  }

  async giveWay(): Promise<void> {
    const { host, legs } = this.preferred;
    await host.carpctl("maintenance", "on");
    await this.#isMaster(this.other);
    // Back at once, as the lesser of the two.
    for (const { carp } of legs) await host.carpctl(carp, "advskew", LESSER);
    await host.carpctl("maintenance", "off");
  }

  async otherDies(): Promise<void> {
    await this.other.die();
    await this.#isMaster(this.preferred);
  }

  async mend(): Promise<void> {
    for (const { carp } of this.preferred.legs) await this.preferred.host.carpctl(carp, "advskew", "50");
    await this.#boot(this.other, OTHER);
    await this.other.waitForState("BACKUP");
  }

  async #isMaster(firewall: Firewall): Promise<void> {
    await firewall.waitForState("MASTER");
    this.master = firewall;
  }

  async #boot(firewall: Firewall, words: string): Promise<void> {
    await firewall.boot();
    const received = firewall.startHook();
    await received.log.waitFor(/bulk start/);
    await firewall.share(words);
    await received.exited;
  }
}

const INTERVAL_S = 0.2;
const AGAIN_MS = 5000;
const MOST_REQUESTS = 10;

export class KeepalivedFailovers extends OfPair implements Failovers {
  readonly #processes = new Map<Firewall, Spawned>();

  async begin(): Promise<void> {
    for (const { host } of [this.preferred, this.other]) await host.engine.stop();
    this.#start(this.preferred, 200);
    await this.#isMaster(this.preferred);
    this.#start(this.other, 100);
    await this.#synchronised(this.other);
  }

  async die(): Promise<void> {
    await this.#die(this.preferred);
    await this.#isMaster(this.other);
  }

  async comeBack(): Promise<void> {
    await this.#boot(this.preferred);
    this.#start(this.preferred, 200);
    await this.#isMaster(this.preferred);
  }

  async giveWay(): Promise<void> {
    await this.#stop(this.preferred);
    await this.#isMaster(this.other);
    // Back at once, as the lesser of the two.
    this.#start(this.preferred, 50);
  }

  async otherDies(): Promise<void> {
    await this.#die(this.other);
    await this.#isMaster(this.preferred);
  }

  async mend(): Promise<void> {
    this.#configure(this.preferred, 200);
    this.#processes.get(this.preferred)?.kill("SIGHUP");
    await this.#boot(this.other);
    this.#start(this.other, 100);
  }

  #start(firewall: Firewall, priority: number): void {
    const { host } = firewall;
    this.#configure(firewall, priority);
    const file = (name: string) => join(host.etcDirectory, name);
    const files = ["-f", file("keepalived.conf"), "-p", file("pid"), "-r", file("vrrp.pid")];
    this.#processes.set(firewall, host.spawn("keepalived", ["--dont-fork", "--vrrp", ...files]));
  }

  /** Writes its configuration, and the scripts of its changes of state. */
  #configure({ host, legs }: Firewall, priority: number): void {
    const file = (name: string) => join(host.etcDirectory, name);
    const conntrackd = `conntrackd -C ${file("conntrackd/conntrackd.conf")}`;
    const requests = { master: ["-c", "-f", "-R", "-B"], backup: ["-t", "-n"] };
    for (const [state, options] of Object.entries(requests)) {
      const lines = options.map((option) => `${conntrackd} ${option}\n`);
      writeFileSync(file(`notify-${state}`), `#!/bin/sh\n${lines.join("")}`);
      chmodSync(file(`notify-${state}`), 0o755);
    }
    const routers = legs.map(({ carp, device, addresses: [address] }, n) =>
      [
        `vrrp_instance ${carp} {`,
        `interface ${device}\nstate BACKUP\nuse_vmac ${carp}\nvmac_xmit_base`,
        `virtual_router_id ${n + 1}\npriority ${priority}\nversion 3\nadvert_int ${INTERVAL_S}`,
        `virtual_ipaddress {\n${address}\n}\n}`,
      ].join("\n"),
    );
    const group = legs.map(({ carp }) => carp).join("\n");
    writeFileSync(
      file("keepalived.conf"),
      `global_defs {
script_user root
}
vrrp_sync_group both {
group {
${group}
}
notify_master ${file("notify-master")}
notify_backup ${file("notify-backup")}
}
${routers.join("\n")}
`,
    );
  }

  /** It withdraws: its peers hear that unless the host is silent. */
  async #stop(firewall: Firewall): Promise<void> {
    const process = this.#processes.get(firewall);
    process?.kill("SIGTERM");
    await process?.exited;
  }

  async #die(firewall: Firewall): Promise<void> {
    firewall.conntrackd.kill("SIGKILL");
    await Promise.all(["eth0", "eth1", "eth2"].map((each) => firewall.host.silence(each)));
    // Only the process goes: nobody hears it.
    await this.#stop(firewall);
  }

  /** Without keepalived, but with the states of the other host. */
  async #boot(firewall: Firewall): Promise<void> {
    const { host } = firewall;
    await host.run("conntrack", "-F");
    for (const each of ["eth0", "eth1", "eth2"]) await host.unsilence(each);
    await firewall.startConntrackd();
    await this.#synchronised(firewall);
  }

  /** The answer to the request at the start may be lost. */
  async #synchronised(firewall: Firewall): Promise<void> {
    const states = async (of: Firewall, option: string) => (await of.ask(option)).split("\n").length;
    for (let request = 1; ; request++) {
      const missing = async () => (await states(this.master, "-i")) - (await states(firewall, "-e"));
      try {
        await eventually(missing, (count) => count <= 0, { timeoutMs: AGAIN_MS });
        return;
      } catch (error) {
        if (request === MOST_REQUESTS) throw error;
        await firewall.ask("-n");
      }
    }
  }

  async #isMaster(firewall: Firewall): Promise<void> {
    const shared = async () => {
      const { stdout } = await firewall.host.exec("ip", ["-o", "-4", "address", "show"]);
      return firewall.legs.every(({ addresses: [address = ""] }) => stdout.includes(` ${address} `));
    };
    await eventually(shared, Boolean, { timeoutMs: 60_000 });
    this.master = firewall;
  }
}
