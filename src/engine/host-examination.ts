/**
 * Whether a host is able, by what was read of its kernel and of the process that asks: each thing looked at is one
 * finding, with what to do about it. Changes nothing; reads only what it is given.
 */

import type { Finding } from "../control/messages.ts";
import type { HostFacts } from "../kernel/facts.ts";

/** The oldest kernel that the programs are written for. */
const OLDEST_KERNEL = [5, 10] as const;

export interface HostExamined {
  readonly facts: HostFacts;
  /** Why there is no data path; undefined when there is. */
  readonly obstacle: string | undefined;
  /** Whether leases outlast the engine; undefined while none runs. */
  readonly persists: boolean | undefined;
  /** Who looks: an engine, or somebody in its place. */
  readonly isEngine: boolean;
}

export function examineHost({ facts, obstacle, persists, isEngine }: HostExamined): Finding[] {
  const findings = [
    kernel(facts),
    privileges(facts, isEngine),
    dataPath(facts, obstacle, isEngine),
    clock(facts),
  ];
  if (persists === false && obstacle === undefined)
    findings.push({
      level: "warning",
      subject: "leases",
      text: "no bpffs could be mounted in the run directory: leases end with the engine",
      todo: "let the engine mount there, or use a run directory where it can",
    });
  return findings;
}

function kernel({ release, hasBtf }: HostFacts): Finding {
  const subject = "kernel";
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_KERNEL;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    return {
      level: "warning",
      subject,
      text: `Linux ${release} is older than any that carp was tried on`,
      todo: `use ${OLDEST_KERNEL.join(".")} or later`,
    };
  return {
    level: "ok",
    subject,
    text: `Linux ${release}, ${hasBtf ? "with" : "without"} BTF (carp needs none)`,
  };
}

function privileges({ capabilities }: HostFacts, isEngine: boolean): Finding {
  const subject = "privileges";
  const missing = [
    ...(["NET_ADMIN", "NET_RAW"] as const).filter((each) => !capabilities.includes(each)),
    ...(capabilities.includes("BPF") || capabilities.includes("SYS_ADMIN") ? [] : ["BPF"]),
  ];
  if (missing.length === 0) return { level: "ok", subject, text: "all that the engine needs" };
  const names = missing.map((each) => `CAP_${each}`).join(", ");
  if (!isEngine)
    return {
      level: "unknown",
      subject,
      text: `without ${names} it cannot be seen whether an engine could run`,
      todo: "ask again as root",
    };
  return {
    level: "error",
    subject,
    text: `the engine lacks ${names}`,
    todo: "start it with these capabilities",
  };
}

function dataPath({ capabilities }: HostFacts, obstacle: string | undefined, isEngine: boolean): Finding {
  const subject = "eBPF";
  if (obstacle === undefined)
    return { level: "ok", subject, text: "the programs load, and clsact takes them: leases and balancing" };
  if (!isEngine && !capabilities.includes("BPF") && !capabilities.includes("SYS_ADMIN"))
    return { level: "unknown", subject, text: "only root may load programs", todo: "ask again as root" };
  return {
    level: "warning",
    subject,
    text: `${obstacle}: addresses fail over without leases, and there is no balancing`,
    todo: "use a kernel with eBPF, and let the engine have CAP_BPF",
  };
}

function clock({ clockIsSynchronised }: HostFacts): Finding {
  const subject = "clock";
  switch (clockIsSynchronised) {
    case true:
      return { level: "ok", subject, text: "synchronised" };
    case undefined:
      return { level: "unknown", subject, text: "the kernel does not say whether it is synchronised" };
    case false:
      return {
        level: "warning",
        subject,
        text: "nothing keeps the time of day right: logs of several hosts are hard to compare, and strict_replay needs counters that grow",
        todo: "run chrony or systemd-timesyncd",
      };
  }
}
