/**
 * Judges a host: kernel, privileges, eBPF, bpffs, clock and hooks, each as one finding with what to do about it. Pure: it
 * sees only the facts it is given.
 */

import type { Finding } from "../control/messages.ts";
import type { HostFacts } from "../kernel/inspection.ts";
import { areReduced, type Capability } from "../kernel/process/privileges.ts";

/** The oldest kernel that the eBPF programs are written for. */
const OLDEST_KERNEL = [5, 10] as const;

const START_ANEW = "restart the engine: 'systemctl restart carpd', or SIGUSR1 and 'carpctl engine'";

export interface HostExamined {
  readonly facts: HostFacts;
  /** Why this host has no data path; undefined when it has one. */
  readonly obstacle: string | undefined;
  /** Whether leases outlast the engine; undefined where no engine runs. */
  readonly persists: boolean | undefined;
  /** Whether hooks or service checks exist, and no keeper runs that could start them with root's privileges. */
  readonly scriptsAreConfined: boolean;
  /** Whether a running engine examines itself, or a command the host. */
  readonly isEngine: boolean;
}

export function examineHost(examined: HostExamined): Finding[] {
  const { facts, obstacle, persists, scriptsAreConfined, isEngine } = examined;
  const findings = [kernel(facts), held(facts, isEngine), dataPath(facts, obstacle, isEngine), clock(facts)];
  if (persists === false && obstacle === undefined)
    findings.push({
      level: "warning",
      subject: "leases",
      text: "no bpffs could be mounted in the run directory: leases end with the engine",
      todo: "let the engine mount there, or use a run directory where it can",
    });
  if (scriptsAreConfined && areReduced(facts.privileges))
    findings.push({
      level: "warning",
      subject: "hooks",
      text: "no keeper runs: hooks and service checks have only the engine's privileges",
      todo: START_ANEW,
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
      text: `Linux ${release} is older than every kernel that carp was tested on`,
      todo: `use ${OLDEST_KERNEL.join(".")} or later`,
    };
  return {
    level: "ok",
    subject,
    text: `Linux ${release}, ${hasBtf ? "with" : "without"} BTF (carp needs none)`,
  };
}

function held({ privileges }: HostFacts, isEngine: boolean): Finding {
  const { capabilities, surplus, final } = privileges;
  const subject = "privileges";
  const mayAll = capabilities.includes("SYS_ADMIN");
  const missing = (["NET_ADMIN", "NET_RAW", "PERFMON", "BPF"] as const).filter(
    (each) => !capabilities.includes(each) && !(mayAll && (each === "PERFMON" || each === "BPF")),
  );
  if (missing.length === 0 && !isEngine) return { level: "ok", subject, text: "all that the engine needs" };
  if (missing.length === 0 && areReduced(privileges))
    return { level: "ok", subject, text: `the engine has ${inWords(capabilities)}, and can gain no more` };
  if (missing.length === 0)
    return {
      level: "warning",
      subject,
      text: `the engine has${surplus === 0 ? "" : ` ${surplus}`} capabilities that it does not need${final ? "" : ", or may gain them"}`,
      todo: `${START_ANEW}; its log says why it could not give them up`,
    };
  const names = inWords(missing);
  if (!isEngine)
    return {
      level: "unknown",
      subject,
      text: `without ${names} it cannot be determined whether an engine could run`,
      todo: "ask again as root",
    };
  return {
    level: "error",
    subject,
    text: `the engine lacks ${names}`,
    todo: "start it with these capabilities",
  };
}

function inWords(capabilities: readonly Capability[]): string {
  return capabilities.map((each) => `CAP_${each}`).join(", ");
}

function dataPath({ privileges }: HostFacts, obstacle: string | undefined, isEngine: boolean): Finding {
  const { capabilities } = privileges;
  const subject = "eBPF";
  if (obstacle === undefined)
    return { level: "ok", subject, text: "the programs load, and devices take them: leases and balancing" };
  if (!isEngine && !capabilities.includes("BPF") && !capabilities.includes("SYS_ADMIN"))
    return { level: "unknown", subject, text: "only root may load programs", todo: "ask again as root" };
  return {
    level: "warning",
    subject,
    text: `${obstacle}: addresses fail over without leases, and there is no balancing`,
    todo: "use a kernel with eBPF, and let the engine have CAP_BPF and CAP_PERFMON",
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
        text: "the system clock is not synchronised: logs of several hosts are hard to compare, and strict_replay needs counters that grow",
        todo: "run chrony or systemd-timesyncd",
      };
  }
}
