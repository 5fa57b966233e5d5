/**
 * Judges a host: kernel, privileges, supervision, eBPF, clock and hooks, each as one finding with what to do about it. Pure: it
 * sees only the facts it is given.
 */

import { type Finding, fault, inOrder } from "../control/finding.ts";
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
    findings.push(
      fault(
        "state-not-saved",
        "state",
        `what is configured is not saved, and lost when the engine ends: ${notSaved}`,
        "make its run directory writable, with room: the engine tries again every second",
      ),
    );
  if (scriptsDoNotRun)
    findings.push(
      fault("no-runner", "hooks", "hooks and service checks do not run: the runner is gone", START_ANEW),
    );
  return findings;
}

function kernel({ release, hasBtf }: HostFacts): Finding {
  const subject = "kernel";
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_KERNEL;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    return fault(
      "old-kernel",
      subject,
      `Linux ${release} is older than every kernel that carp was tested on`,
      `use ${OLDEST_KERNEL.join(".")} or later`,
    );
  return inOrder(subject, `Linux ${release}, ${hasBtf ? "with" : "without"} BTF (carp needs none)`);
}

/** What a running engine is and has. */
function engine({ privileges, release, hasEngineUser }: HostFacts): Finding[] {
  const { uid, capabilities, surplus, final, landlock, seccomp } = privileges;
  const subject = "privileges";
  const findings: Finding[] = [];
  const missing = needs(release).filter((each) => !capabilities.includes(each));
  if (missing.length > 0)
    findings.push(
      fault(
        "capability-missing",
        subject,
        `the engine lacks ${inWords(missing)}`,
        "start it with these capabilities",
      ),
    );
  else if (areReduced(privileges))
    findings.push(
      inOrder(
        subject,
        `the engine has ${inWords(capabilities)}, and can gain no more; seccomp filter: ${seccomp ? "yes" : "no"}`,
      ),
    );
  else
    findings.push(
      fault(
        "privileges-kept",
        subject,
        `the engine has${surplus === 0 ? "" : ` ${surplus}`} capabilities that it does not need${final ? "" : ", or may gain them"}`,
        `${START_ANEW}; its log says why it could not give them up`,
      ),
    );
  findings.push(
    user(uid, hasEngineUser),
    landlock
      ? inOrder("landlock", "the engine reaches only the files that it needs")
      : fault(
          "no-landlock",
          "landlock",
          "the engine reaches every file that its user may reach",
          "use a kernel with Landlock (5.13, CONFIG_SECURITY_LANDLOCK, and landlock among lsm=), and no container that withholds it",
        ),
  );
  return findings;
}

function user(uid: number, hasEngineUser: boolean): Finding {
  const subject = "user";
  if (uid !== 0) return inOrder(subject, `the engine runs as ${ENGINE_USER} (uid ${uid})`);
  if (!hasEngineUser)
    return inOrder(
      subject,
      `the engine runs as root, but without root's capabilities: there is no user ${ENGINE_USER}`,
    );
  return fault(
    "runs-as-root",
    subject,
    `the engine runs as root, not as ${ENGINE_USER}`,
    `${START_ANEW}; its log says why it could not become ${ENGINE_USER}`,
  );
}

function supervision(isSupervised: boolean): Finding {
  const text = isSupervised
    ? "a service manager starts the engine again when it ends"
    : "no service manager watches over the engine: after a crash its addresses move to other hosts";
  return inOrder("supervision", text);
}

/** What a command has that asks whether an engine could run. */
function held({ privileges: { capabilities } }: HostFacts): Finding {
  const subject = "privileges";
  const missing = STARTING.filter((each) => !capabilities.includes(each));
  if (missing.length === 0) return inOrder(subject, "all that the engine needs");
  return fault(
    "needs-root",
    subject,
    `without ${inWords(missing)} it cannot be determined whether an engine could run`,
    "ask again as root",
  );
}

function inWords(capabilities: readonly Capability[]): string {
  return capabilities.map((each) => `CAP_${each}`).join(", ");
}

function dataPath({ privileges }: HostFacts, obstacle: string | undefined, isEngine: boolean): Finding {
  const { capabilities } = privileges;
  const subject = "eBPF";
  if (obstacle === undefined)
    return inOrder(subject, "the programs load, and devices take them: leases and balancing");
  if (!isEngine && !capabilities.includes("BPF") && !capabilities.includes("SYS_ADMIN"))
    return fault("needs-root", subject, "only root may load programs", "ask again as root");
  return fault(
    "no-ebpf",
    subject,
    `${obstacle}: addresses fail over without leases, and there is no balancing`,
    "the kernel needs eBPF (CONFIG_BPF_SYSCALL), and the engine, when it starts, CAP_BPF and CAP_PERFMON",
  );
}

function clock({ clockIsSynchronised }: HostFacts, needsClock: boolean): Finding {
  const subject = "clock";
  if (clockIsSynchronised === undefined)
    return fault("not-examined", subject, "the kernel does not say whether it is synchronised");
  if (clockIsSynchronised) return inOrder(subject, "synchronised");
  if (!needsClock)
    return inOrder(subject, "not synchronised: only the logs of several hosts are hard to compare for that");
  return fault(
    "clock",
    subject,
    "the system clock is not synchronised: strict_replay and signed_header need counters that grow",
    "run chrony or systemd-timesyncd",
  );
}
