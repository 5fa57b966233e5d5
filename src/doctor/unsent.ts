/** Judges why the advertisements of a carp interface do not leave. Pure: it sees only the view it is given. */

import { type Finding, fault } from "../control/finding.ts";
import type { InterfaceView } from "../control/messages.ts";
import { SECOND } from "../core/election/timing.ts";
import type { Micros } from "../core/model.ts";

/** A BACKUP sends nothing: whether its advertisements would leave now is not known. */
export function sendFindings(view: InterfaceView, nowUs: Micros): Finding[] {
  const { name: subject, carpdev = "", sendFailure, nodes, addresses } = view;
  if (sendFailure === undefined) return [];
  const { error, atUs, left } = sendFailure;
  const { why = "they were not sent", todo = `look at ${carpdev}, and at the system log` } =
    notSent(error, carpdev) ?? {};
  const sends = nodes.some(({ state }) => state === "MASTER");
  if (left.length > 0) {
    if (!sends) return [];
    const failed = addresses.find(({ family }) => !left.includes(family))?.family;
    const which = failed === undefined ? "some of its" : `its IPv${failed}`;
    const text = `${which} advertisements do not leave: ${why} (${error})`;
    return [fault("not-sent-in-part", subject, text, todo)];
  }
  const what = sends
    ? "its advertisements do not leave"
    : `its last advertisements, ${Math.round((nowUs - atUs) / SECOND)} s ago, did not leave`;
  const after = sends ? "" : `; then set ${subject} down and up, which ends the demotion for it`;
  return [fault("not-sent", subject, `${what}: ${why} (${error})`, `${todo}${after}`)];
}

/**
 * What a send error means, and what to do about it. An error of a unicast peer that is down, or has no route, is none.
 * nftables' and iptables' output chains see only unicast advertisements; multicast ones pass the carpdev's egress
 * hooks and queue, which give the same error.
 */
function notSent(error: string, carpdev: string): { why: string; todo: string } | undefined {
  switch (error) {
    case "EPERM":
      return {
        why: "a packet filter (nftables, iptables: output) drops them",
        todo: "let IP protocol 112 out: see 'nft list ruleset' and 'iptables-save'",
      };
    case "ENOBUFS":
      return {
        why: `a filter on the way out of ${carpdev} (nftables: netdev egress, tc), or its queueing discipline, drops them`,
        todo: `let IP protocol 112 out: see 'nft list ruleset', 'tc filter show dev ${carpdev} egress' and the count of dropped packets in 'tc -s qdisc show dev ${carpdev}'`,
      };
    case "EAGAIN":
    case "ENOMEM":
      return {
        why: `${carpdev} takes no more of them: what was sent before has not left`,
        todo: `see 'tc -s qdisc show dev ${carpdev}', and the driver's messages in the kernel log`,
      };
    case "EACCES":
    case "EINVAL":
      return {
        why: "a route or rule forbids (prohibit, blackhole) or breaks the way to the peer",
        todo: "see 'ip route get PEER' and 'ip rule'",
      };
    case "EMSGSIZE":
      return {
        why: `they are larger than ${carpdev}, or the way to the peer, lets pass`,
        todo: `see the MTU of ${carpdev} ('ip link show ${carpdev}') and of the route: IPv6 needs 1280`,
      };
    case "EADDRNOTAVAIL":
      return {
        why: "their source address is not on this host",
        todo: `give ${carpdev} an address of its own: see 'ip address show dev ${carpdev}'`,
      };
    case "EAFNOSUPPORT":
      return {
        why: "this host has no IPv4 or no IPv6",
        todo: "enable that family, or use addresses of the other",
      };
    case "ENETDOWN":
      return { why: `${carpdev} is down`, todo: `set it up: ip link set ${carpdev} up` };
    case "ENODEV":
    case "ENXIO":
      return {
        why: `${carpdev} is gone, or nothing listens on it`,
        todo: `see 'ip link show ${carpdev}' and the engine's log`,
      };
    default:
      return undefined;
  }
}
