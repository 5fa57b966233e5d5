/**
 * Output of the commands, byte for byte, in every state of an interface: scripts written for OpenBSD read it.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

describe("output", () => {
  let lan: Network;
  let a: Host;
  let b: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
  });
  after(() => lan.destroy());

  const out = async (host: Host, words = "") =>
    (await host.carpctl(...words.split(" ").filter(Boolean))).stdout;
  const kernelIndex = async (host: Host, device: string): Promise<number> =>
    JSON.parse(await host.run("ip", "-json", "link", "show", device))[0].ifindex;
  // The engine ends a connection that says nothing after 30 seconds: no command waits for that.
  const ENDS = "timeout 25";
  const sh = (script: string) =>
    a.exec("bash", ["-c", `set -o pipefail; ${script}`], { environment: { CARPCTL } });

  test("without interfaces only the cloner and the group are shown", async () => {
    for (const words of ["", "-a", "-A", "carp"]) assert.equal(await out(a, words), "", words);
    assert.equal(await out(a, "-C"), "carp\n");
    assert.equal(await out(a, "-g carp"), "carp: carp demote count 0\n");
    assert.equal(await out(a, "status"), "no carp interfaces\n");
  });

  test("a created interface has no vhid, no carpdev and no address", async () => {
    assert.equal(await out(a, "create"), "carp0\n");
    assert.equal(
      await out(a, "carp0"),
      `carp0: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1500
	index 0 priority 15 llprio 3
	groups: carp
	status: invalid
`,
    );
  });

  test("MASTER", async () => {
    await a.carpctl(
      ..."carp0 10.0.0.1/24 inet6 2001:db8::1/64 vhid 1 pass sesame description www".split(" "),
    );
    await a.waitForState("carp0", "MASTER");
    const index = await kernelIndex(a, "carp0");
    const text = `carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	lladdr 00:00:5e:00:01:01
	description: www
	index ${index} priority 15 llprio 3
	carp: MASTER carpdev eth0 vhid 1 advbase 1 advskew 0
	groups: carp
	status: master
	inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255
	inet6 2001:db8::1 prefixlen 64
`;
    for (const words of ["carp0", "", "-a", "-A", "carp", "-a carp0"])
      assert.equal(await out(a, words), text, words);
  });

  test("BACKUP, with a group, a peer of each family and a MAC of its own", async () => {
    const words =
      "carp0 10.0.0.1/24 inet6 2001:db8::1/64 vhid 1 pass sesame advbase 100 advskew 100 description www group web";
    await b.carpctl(...words.split(" "));
    await b.waitForState("carp0", "BACKUP");
    const index = await kernelIndex(b, "carp0");
    const text = (mac: string, peers: string) =>
      `carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	lladdr ${mac}
	description: www
	index ${index} priority 15 llprio 3
	carp: BACKUP carpdev eth0 vhid 1 advbase 100 advskew 100${peers}
	groups: carp web
	status: backup
	inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255
	inet6 2001:db8::1 prefixlen 64
`;
    assert.equal(await out(b, "carp0"), text("00:00:5e:00:01:01", ""));
    await b.carpctl("carp0", "carppeer", "10.0.0.2", "carppeer6", "2001:db8::2", "state", "backup");
    assert.equal(await out(b, "web"), text("00:00:5e:00:01:01", " carppeer 10.0.0.2 carppeer6 2001:db8::2"));
    await b.carpctl(..."carp0 -carppeer -carppeer6 lladdr 02:00:00:00:00:AA".split(" "));
    assert.equal(await out(b, "web"), text("02:00:00:00:00:aa", ""));
    await b.carpctl("carp0", "destroy");
  });

  test("INIT: down, without carrier, without its carpdev, without an address, without a vhid", async () => {
    await b.carpctl(..."carp5 10.0.0.5/24 vhid 5 carpdev eth0 down".split(" "));
    const flags = { down: "8802<BROADCAST,SIMPLEX,MULTICAST>", up: "8803<UP,BROADCAST,SIMPLEX,MULTICAST>" };
    const text = (flagWords: string, index: number, carpdev = "eth0") =>
      `carp5: flags=${flagWords} mtu 1500
	lladdr 00:00:5e:00:01:05
	index ${index} priority 15 llprio 3
	carp: INIT carpdev ${carpdev} vhid 5 advbase 1 advskew 0
	groups: carp
	status: invalid
	inet 10.0.0.5 netmask 0xffffff00 broadcast 10.0.0.255
`;
    const index = () => kernelIndex(b, "carp5");
    assert.equal(await out(b, "carp5"), text(flags.down, await index()));
    assert.match(await out(b, "status"), /^carp5: it is down$/m);

    await b.carpctl("carp5", "up");
    await b.waitForState("carp5", "BACKUP");
    await b.pullCable();
    await b.waitForState("carp5", "INIT");
    assert.equal(await out(b, "carp5"), text(flags.up, await index()));
    assert.match(await out(b, "status"), /^carp5: carpdev eth0 has no carrier \[no-carrier\]$/m);
    await b.plugCable();
    await b.waitForState("carp5", "BACKUP");

    await b.carpctl("carp5", "-inet");
    const [withoutAddress] = text(flags.up, await index()).split("\tinet ");
    assert.equal(await out(b, "carp5"), withoutAddress);
    assert.match(await out(b, "status"), /^carp5: no address is set \[no-address\]$/m);

    await b.namespace.ip([
      "link add gone0 type veth peer name gone1",
      "link set gone1 up",
      "link set gone0 up",
    ]);
    await b.carpctl(..."carp5 10.0.0.5/24 carpdev gone0".split(" "));
    await b.waitForState("carp5", "BACKUP");
    await b.namespace.ip(["link delete gone0"]);
    await b.waitForState("carp5", "INIT");
    const { interfaces } = await b.engine.request("interfaces", {});
    assert.equal(await out(b, "carp5"), text(flags.up, interfaces[0]?.index ?? -1, "gone0"));
    assert.match(await out(b, "status"), /^carp5: carpdev gone0 is missing \[carpdev-missing\]$/m);
    await b.carpctl("carp5", "destroy");
  });

  test("netmasks, broadcast addresses and lengths as ifconfig writes them", async () => {
    const words =
      "carp6 10.6.0.1/8 alias 10.6.1.1/31 alias 10.6.2.1/32 alias 10.6.3.1/25 broadcast 10.6.3.77 inet6 2001:DB8:0:0::6/128 down";
    await b.carpctl(...words.split(" "));
    assert.deepEqual((await out(b, "carp6")).match(/^\tinet.*/gm), [
      "\tinet 10.6.0.1 netmask 0xff000000 broadcast 10.255.255.255",
      "\tinet 10.6.1.1 netmask 0xfffffffe",
      "\tinet 10.6.2.1 netmask 0xffffffff",
      "\tinet 10.6.3.1 netmask 0xffffff80 broadcast 10.6.3.77",
      "\tinet6 2001:db8::6 prefixlen 128",
    ]);
    await b.carpctl("carp6", "destroy");
  });

  test("interfaces come in numeric order", async () => {
    for (const name of ["carp10", "carp9", "carp2"]) await b.carpctl(name, "create");
    assert.deepEqual((await out(b)).match(/^carp\d+/gm), ["carp2", "carp9", "carp10"]);
    for (const name of ["carp10", "carp9", "carp2"]) await b.carpctl(name, "destroy");
  });

  test("the table of status, without colour", async () => {
    const text = (await out(a, "status")).replace(/\b(\d+[smh])+\b/, "AGE").replace(/ {2,}/g, "  ");
    const changes = (await a.engine.request("interfaces", {})).interfaces[0]?.nodes[0]?.transitions;
    assert.equal(
      text,
      `NAME  VHID  STATE  SINCE  ADDRESSES  CARPDEV  ADV  MASTER  CHANGES
carp0  1  MASTER  AGE  10.0.0.1/24  eth0  1/0  this host  ${changes}
  2001:db8::1/64
`,
    );
  });

  test("status of a demoted host shows the advertised advskew and the reasons", async () => {
    await a.carpctl("sysctl", "-q", "net.inet.carp.demotion=7");
    await a.carpctl("-g", "carp", "carpdemote", "2");
    const text = await out(a, "status");
    await a.carpctl("-g", "carp", "-carpdemote", "2");
    await a.carpctl("sysctl", "-q", "net.inet.carp.demotion=-7");
    assert.match(text, /as 1\/7/);
    assert.match(text, /demote 9/);
    assert.match(text, /^group carp: carp demote count 2$/m);
  });

  test("status --json is one document with everything in it", async () => {
    const { exitCode, stdout } = await sh(`"$CARPCTL" status --json | jq -c '
      [(.interfaces[0] | del(.index, .packets) | .nodes[0] |= del(.sinceUs, .ageSeconds, .transitions, .packets)), .groups]'`);
    assert.equal(exitCode, 0);
    assert.deepEqual(JSON.parse(stdout), [
      {
        name: "carp0",
        up: true,
        running: true,
        notRunning: null,
        status: "master",
        mtu: 1500,
        lladdr: "00:00:5e:00:01:01",
        description: "www",
        carpdev: "eth0",
        advbase: 1,
        balancing: "none",
        carppeer: null,
        carppeer6: null,
        carppeers: [],
        carppeers6: [],
        announce: null,
        preemptdelay: null,
        grace: null,
        nodes: [
          {
            vhid: 1,
            state: "MASTER",
            advskew: 0,
            effectiveAdvskew: 0,
            demote: 0,
            preemptDelaySecondsLeft: null,
            signsLinkLocals: null,
            linkLocalConflict: null,
            heard: null,
          },
        ],
        groups: ["carp"],
        problems: [],
        repairs: 0,
        wrongDigests: [],
        addresses: [
          { family: 4, address: "10.0.0.1", prefixLength: 24, broadcast: "10.0.0.255" },
          { family: 6, address: "2001:db8::1", prefixLength: 64, broadcast: null },
        ],
      },
      [{ name: "carp", carpDemoteCount: 0, interfaces: ["carp0"] }],
    ]);
  });

  test("--json of the other commands is one document as well", async () => {
    const json = async (words: string) => JSON.parse(await out(a, words));
    assert.equal((await json("carp0 --json")).interfaces[0].name, "carp0");
    assert.deepEqual(await json("--json -C"), ["carp"]);
    assert.deepEqual(await json("-g carp --json"), {
      groups: [{ name: "carp", carpDemoteCount: 0, interfaces: ["carp0"] }],
    });
    assert.deepEqual(await json("sysctl --json net.inet.carp.allow net.inet.carp.allow=1"), [
      { name: "net.inet.carp.allow", value: 1 },
      { name: "net.inet.carp.allow", from: 1, to: 1 },
    ]);
    assert.deepEqual(await json("--json create"), { name: "carp1" });
    assert.equal(await out(a, "destroy carp1"), "");
    assert.ok((await json("netstat --json")).sentIpv4 > 0);
  });

  test("sysctl: names, values, prefixes, changes", async () => {
    const all = `net.inet.carp.allow=1
net.inet.carp.preempt=0
net.inet.carp.preempt_delay=0
net.inet.carp.log=7
net.inet.carp.demotion=0
net.inet.carp.ifdown_demotion_factor=240
net.inet.carp.senderr_demotion_factor=240
net.inet.carp.grace=300
net.inet.carp.dscp=4
net.inet.carp.strict_replay=0
net.inet.carp.signed_header=0
`;
    const pfsync = "net.pfsync.carp_demotion_factor=240\n";
    assert.equal(await out(a, "sysctl -a"), all + pfsync);
    assert.equal(await out(a, "sysctl net.inet.carp"), all);
    assert.equal(await out(a, "sysctl net.pfsync"), pfsync);
    assert.equal(await out(a, "sysctl -n net.inet.carp.log net.inet.carp.dscp"), "7\n4\n");
    assert.equal(await out(a, "sysctl net.inet.carp.preempt=1"), "net.inet.carp.preempt: 0 -> 1\n");
    assert.equal(await out(a, "sysctl -n net.inet.carp.preempt=0"), "1 -> 0\n");
    assert.equal(await out(a, "sysctl -q net.inet.carp.dscp=46"), "");
    assert.equal(await out(a, "sysctl -qn net.inet.carp.dscp"), "46\n");
    assert.equal(await out(a, "sysctl net.inet.carp.demotion=3"), "net.inet.carp.demotion: 0 -> 3\n");
    assert.equal(
      await out(a, "sysctl net.inet.carp.demotion=-3 net.inet.carp.dscp=4 net.inet.carp.demotion"),
      "net.inet.carp.demotion: 3 -> 0\nnet.inet.carp.dscp: 46 -> 4\nnet.inet.carp.demotion=0\n",
    );
  });

  test("netstat prints OpenBSD's text, with or without netstat's own options", async () => {
    /** Without numbers, and with plural nouns. */
    const text = async (words: string) =>
      (await out(a, words))
        .replace(/^(\t*)\d+/gm, "$1N")
        .replace(/\b(packet|checksum|transition)\b(?! too)/g, "$1s");
    for (const words of ["netstat", "netstat -s -p carp", "netstat -sp carp", "stats"])
      assert.equal(
        await text(words),
        `carp:
	N packets received (IPv4)
	N packets received (IPv6)
		N packets discarded for bad interface
		N packets discarded for wrong TTL
		N packets shorter than header
		N discarded for bad checksums
		N discarded packets with a bad version
		N discarded because packet too short
		N discarded for bad authentication
		N discarded for unknown vhid
		N discarded because of a bad address list
		N discarded by the rate limit for unauthenticated packets
	N packets sent (IPv4)
	N packets sent (IPv6)
		N send failed due to mbuf memory error
	N transitions to master
`,
        words,
      );
    assert.match(await out(a, "netstat"), /^\t1 transition to master$/m);
  });

  test("pipelines of scripts written for ifconfig work", async () => {
    assert.equal((await sh(`"$CARPCTL" carp0 | grep -q 'status: master'`)).exitCode, 0);
    assert.equal((await sh(`"$CARPCTL" carp0 | awk '/carp: MASTER/ { print $6 }'`)).stdout, "1\n");
    assert.equal((await sh(`"$CARPCTL" status --json | jq -r '.interfaces[].status'`)).stdout, "master\n");
  });

  test("a reader that closes the pipe early is not an error", async () => {
    for (const words of ["", "carp0", "status", "status --json", "netstat", "sysctl -a", "--help"]) {
      const { exitCode, stderr } = await sh(`${ENDS} "$CARPCTL" ${words} | true`);
      assert.deepEqual([exitCode, stderr], [0, ""], words);
    }
    assert.deepEqual(await sh(`"$CARPCTL" carp0 | head -1`), {
      stdout: "carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n",
      stderr: "",
      exitCode: 0,
    });
  });

  test("output that cannot be written is a failure", async () => {
    assert.deepEqual(await sh(`${ENDS} "$CARPCTL" carp0 >/dev/full`), {
      stdout: "",
      stderr: "carpctl: cannot write: ENOSPC\n",
      exitCode: 1,
    });
  });

  test("called through a link named like a command, it runs that command", async () => {
    const link = join(a.etcDirectory, "ifconfig");
    await a.run("ln", "-s", CARPCTL, link);
    assert.equal(await a.run(link, "carp0"), await out(a, "carp0"));
    const { stderr } = await a.exec(link, ["carp0", "vhid", "256"]);
    assert.equal(stderr, "ifconfig: vhid 256: must be 1..255\n");
    await a.run("mv", link, join(a.etcDirectory, "sysctl"));
    assert.equal(await a.run(join(a.etcDirectory, "sysctl"), "-n", "net.inet.carp.allow"), "1\n");
    await a.run("rm", join(a.etcDirectory, "sysctl"));
  });
});
