/**
 * Judges the masters that a virtual host hears: whether the preferred host is the master, where one does not preempt,
 * whether their clocks are those of this host, and whether all of their advertisements arrive, over both families. Pure: it sees only the
 * views it is given.
 */

import { type Finding, fault } from "../control/finding.ts";
import type { InterfaceView, NodeView } from "../control/messages.ts";
import { intervalUs, MILLISECOND, masterDownUs, SECOND } from "../core/election/timing.ts";
import type { Micros } from "../core/model.ts";
import { isLinkLocal } from "../protocol/address.ts";

/** @param subject `carp0 vhid 1` */
export function preferenceFindings(
  subject: string,
  advbase: number,
  node: NodeView,
  nowUs: Micros,
): Finding[] {
  const { state, sinceUs, mayPreemptAtUs, demote, advskew, effectiveAdvskew, peers } = node;
  const preempts = mayPreemptAtUs !== undefined;
  // A host that has just come back, or given way, is about to be settled.
  const isSettled = nowUs - sinceUs >= masterDownUs(intervalUs(advbase, effectiveAdvskew));
  if (state !== "BACKUP" || preempts || !isSettled) return [];
  const worse = peers.find(
    (his) => his.demote >= demote && his.advbase === advbase && his.advskew > effectiveAdvskew,
  );
  if (worse === undefined) return [];
  const [name] = subject.split(" ");
  return [
    fault(
      "not-preempted",
      subject,
      `BACKUP to ${worse.source}, which is less preferred (advskew ${worse.advskew}, here ${advskew}): net.inet.carp.preempt is 0 here`,
      `for this host to take over: carpctl sysctl net.inet.carp.preempt=1, on every host; at once, this time: carpctl ${name} state master`,
    ),
  ];
}

/** Clocks further apart are wrong, whatever delays an advertisement. */
const APART_S = 60;

/**
 * Peers whose counters are far behind this host's clock: they show the time of the sender's clock or a later one, which it
 * has heard from others. Counters that are ahead tell nothing: they may follow a clock that was wrong before.
 *
 * @param epochUs the time of day at `nowUs`
 */
export function clockFindings(
  subject: string,
  { peers }: NodeView,
  nowUs: Micros,
  epochUs: number,
): Finding[] {
  return peers.flatMap(({ source, clockUs, atUs }) => {
    const behindS = clockUs === undefined ? 0 : Math.round((epochUs - (nowUs - atUs) - clockUs) / SECOND);
    if (behindS < APART_S) return [];
    return fault(
      "clocks-differ",
      subject,
      `the clock of ${source} is ${behindS} s behind this host's`,
      "set both clocks, with chrony or systemd-timesyncd: see 'timedatectl' on both hosts",
    );
  });
}

/**
 * Masters that are heard over one family where the addresses are of two: since the digest is right, they share both, and
 * advertise over both. Link-local addresses are not in every digest.
 */
export function familyFindings(
  subject: string,
  { addresses, grace, carpdev }: InterfaceView,
  { state, peers }: NodeView,
  nowUs: Micros,
): Finding[] {
  const shared = new Set(
    addresses.filter(({ address }) => !isLinkLocal(address)).map(({ family }) => family),
  );
  const heard = new Set(peers.map(({ source }) => (source.includes(":") ? 6 : 4)));
  const isSettled = peers.every(
    ({ sinceUs = nowUs, advbase, advskew }) =>
      nowUs - sinceUs > 2 * masterDownUs(intervalUs(advbase, advskew)),
  );
  // With a change under way its addresses may be the former ones.
  const isChanging = grace !== undefined && grace.usedBy.length > 0;
  const [peer] = peers;
  if (state !== "BACKUP" || shared.size < 2 || heard.size !== 1 || !isSettled || isChanging || !peer)
    return [];
  const [lost, group, word] = heard.has(4)
    ? ["IPv6", "ff02::12", "carppeer6"]
    : ["IPv4", "224.0.0.18", "carppeer"];
  return [
    fault(
      "one-family-heard",
      subject,
      `the master is heard from ${peer.source} alone: its ${lost} advertisements do not arrive on ${carpdev}`,
      `let IP protocol 112 over ${lost} through, to ${group}: packet filters on the way out there and between the hosts, ${lost === "IPv6" ? "MLD" : "IGMP"} snooping without a querier; or use ${word} on every host`,
    ),
  ];
}

/** Less than a quarter missing, fewer than so many, or all at once: that happens on a sound network too. */
const [LEAST_SENT, LEAST_GAPS] = [8, 3];

/** Masters of whose advertisements many do not arrive, though others do: neither host would notice until three in a row. */
export function arrivalFindings(subject: string, { state, peers }: NodeView): Finding[] {
  if (state !== "BACKUP") return [];
  return peers.flatMap(({ source, advbase, advskew, arrivals }) => {
    if (arrivals === undefined) return [];
    const { sent, missing, gaps } = arrivals;
    if (sent < LEAST_SENT || gaps < LEAST_GAPS || 4 * missing < sent) return [];
    const everyUs = intervalUs(advbase, advskew);
    const isQuick = everyUs < SECOND;
    const every = isQuick ? `${Math.round(everyUs / MILLISECOND)} ms` : `${(everyUs / SECOND).toFixed(1)} s`;
    // Rounded, so that the nodes of one interface say the same.
    const part = 10 * Math.round((10 * missing) / sent);
    const way =
      "look for what limits or drops multicast between the hosts: storm control of a switch, a limit of the hypervisor, a queue that overflows ('ethtool -S' and 'tc -s qdisc' on both)";
    return fault(
      "advertisements-missing",
      subject,
      `some ${part} % of the advertisements of ${source} do not arrive: it sends one every ${every} (advbase ${advbase} advskew ${advskew})`,
      isQuick ? `advertise less often on every host of the vhid (advbase 1), or ${way}` : way,
    );
  });
}
