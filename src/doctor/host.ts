/**
 * Judges a host: kernel, privileges, supervision, eBPF, clock and hooks, each as one finding with what to do about it. Pure: it
 * sees only the facts it is given.
 */

import type { Finding } from "../control/messages.ts";
import type { HostFacts } from "../kernel/inspection.ts";
import { areReduced, type Capability, ENGINE_USER, needs } from "../kernel/process/privileges.ts";

/** The oldest kernel that the eBPF programs are written for. */
const OLDEST_KERNEL = [5, 10] as const;

const START_ANEW = "restart the engine: 'systemctl restart carpd', or SIGUSR2 and 'carpctl engine'";

/** The capabilities that an engine needs at its start, where it still has all that root has. */
const STARTING = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"] as const;

export interface HostExamined {
  readonly facts: HostFacts;
  /** Why this host has no data path; undefined when it has one. */
  readonly obstacle: string | undefined;
  /** Whether hooks or service checks exist that the engine can no longer run. */
  readonly scriptsDoNotRun: boolean;
  /** Why the engine cannot save its state; undefined: it can. */
  readonly notSaved: string | undefined;
  /** Whether a service manager starts the engine again; undefined where none runs and a command examines the host. */
  readonly isSupervised: boolean | undefined;
  /** Whether advertisements are refused whose counters do not grow (strict_replay, signed_header). */
  readonly needsClock: boolean;
}

export function examineHost(examined: HostExamined): Finding[] {
  const { facts, obstacle, scriptsDoNotRun, notSaved, isSupervised, needsClock } = examined;
  const isEngine = isSupervised !== undefined;
  const findings = [kernel(facts)];
  if (isEngine) findings.push(...engine(facts), supervision(isSupervised));
  else findings.push(held(facts));
  findings.push(dataPath(facts, obstacle, isEngine), clock(facts, needsClock));
  if (notSaved !== undefined)
    findings.push({
      level: "error",
      subject: "state",
      text: `what is configured is not saved, and lost when the engine ends: ${notSaved}`,
      todo: "make its run directory writable, with room: the engine tries again every second",
    });
  if (scriptsDoNotRun)
    findings.push({
      level: "warning",
      subject: "hooks",
      text: "hooks and service checks do not run: the runner is gone",
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

/** What a running engine is and has. */
function engine({ privileges, release, hasEngineUser }: HostFacts): Finding[] {
  const { uid, capabilities, surplus, final, landlock, seccomp } = privileges;
  const subject = "privileges";
  const findings: Finding[] = [];
  const missing = needs(release).filter((each) => !capabilities.includes(each));
  if (missing.length > 0)
    findings.push({
      level: "error",
      subject,
      text: `the engine lacks ${inWords(missing)}`,
      todo: "start it with these capabilities",
    });
  else if (areReduced(privileges))
    findings.push({
      level: "ok",
      subject,
      text: `the engine has ${inWords(capabilities)}, and can gain no more; seccomp filter: ${seccomp ? "yes" : "no"}`,
    });
  else
    findings.push({
      level: "warning",
      subject,
      text: `the engine has${surplus === 0 ? "" : ` ${surplus}`} capabilities that it does not need${final ? "" : ", or may gain them"}`,
      todo: `${START_ANEW}; its log says why it could not give them up`,
    });
  findings.push(
    user(uid, hasEngineUser),
    landlock
      ? { level: "ok", subject: "landlock", text: "the engine reaches only the files that it needs" }
      : {
          level: "warning",
          subject: "landlock",
          text: "the engine reaches every file that its user may reach",
          todo: "use a kernel with Landlock (5.13, CONFIG_SECURITY_LANDLOCK, and landlock among lsm=), and no container that withholds it",
        },
  );
  return findings;
}

function user(uid: number, hasEngineUser: boolean): Finding {
  const subject = "user";
  if (uid !== 0) return { level: "ok", subject, text: `the engine runs as ${ENGINE_USER} (uid ${uid})` };
  if (!hasEngineUser)
    return {
      level: "ok",
      subject,
      text: `the engine runs as root, but without root's capabilities: there is no user ${ENGINE_USER}`,
    };
  return {
    level: "warning",
    subject,
    text: `the engine runs as root, not as ${ENGINE_USER}`,
    todo: `${START_ANEW}; its log says why it could not become ${ENGINE_USER}`,
  };
}

function supervision(isSupervised: boolean): Finding {
  const text = isSupervised
    ? "a service manager starts the engine again when it ends"
    : "no service manager watches over the engine: after a crash its addresses move to other hosts";
  return { level: "ok", subject: "supervision", text };
}

/** What a command has that asks whether an engine could run. */
function held({ privileges: { capabilities } }: HostFacts): Finding {
  const subject = "privileges";
  const missing = STARTING.filter((each) => !capabilities.includes(each));
  if (missing.length === 0) return { level: "ok", subject, text: "all that the engine needs" };
  return {
    level: "unknown",
    subject,
    text: `without ${inWords(missing)} it cannot be determined whether an engine could run`,
    todo: "ask again as root",
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
    todo: "the kernel needs eBPF (CONFIG_BPF_SYSCALL), and the engine, when it starts, CAP_BPF and CAP_PERFMON",
  };
}

function clock({ clockIsSynchronised }: HostFacts, needsClock: boolean): Finding {
  const subject = "clock";
  if (clockIsSynchronised === undefined)
    return { level: "unknown", subject, text: "the kernel does not say whether it is synchronised" };
  if (clockIsSynchronised) return { level: "ok", subject, text: "synchronised" };
  const todo = "run chrony or systemd-timesyncd";
  return needsClock
    ? {
        level: "warning",
        subject,
        text: "the system clock is not synchronised: strict_replay and signed_header need counters that grow",
        todo,
      }
    : {
        level: "ok",
        subject,
        text: "not synchronised: only the logs of several hosts are hard to compare for that",
        todo,
      };
}
