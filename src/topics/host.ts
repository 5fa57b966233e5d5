/** The topics of what `carpctl doctor` finds about the host and its engine. */

import type { Topic } from "./topic.ts";

export const HOST = {
  "no-engine": {
    level: "error",
    meaning:
      "No engine answers at the control socket: none runs with this run directory, or it stands still. The kernel stops answering for its addresses when the leases end, and the other hosts take over.",
    see: "'systemctl status carpd' and 'journalctl -u carpd' say why it ended; 'ls -l /run/carp' shows the sockets.",
    todo: "Start it with 'systemctl start carpd' or 'carpctl engine'. An engine with another --run-dir is asked with the same --run-dir.",
  },
  "engine-version": {
    level: "warning",
    meaning:
      "The program was upgraded, and the engine that runs is still the one before: fixes are not in force, and the two may not understand each other.",
    see: "'carpctl --version' prints the version of the command; the line of doctor has both.",
    todo: "'systemctl restart carpd': the new engine continues within the lease, without a failover. Without systemd send SIGUSR2 to the engine and start 'carpctl engine' at once.",
  },
  "run-directory": {
    level: "error",
    meaning:
      "There is something else than a directory where the run directory should be: no engine can start.",
    see: "'ls -ld /run/carp'.",
    todo: "Remove it, or use another directory with --run-dir.",
  },
  "run-directory-untrusted": {
    level: "error",
    meaning:
      "Another user than root owns or can write the run directory, or a directory above it: that user could answer in the engine's place and be told a pass. Commands and engine refuse it.",
    see: "'namei -l /run/carp' shows the owner and the mode of each directory on the way.",
    todo: "'chown root' and 'chmod go-w' the directory that the finding names, or use another one with --run-dir.",
  },
  "old-kernel": {
    level: "warning",
    meaning:
      "The kernel is older than 5.10, the oldest one that carp was tested on. It may lack what leases and balancing need.",
    see: "'uname -r'.",
    todo: "Use a kernel of the distribution that is 5.10 or later.",
  },
  "capability-missing": {
    level: "error",
    meaning:
      "The engine lacks a capability without which it cannot make devices (CAP_NET_ADMIN), send and receive advertisements (CAP_NET_RAW), or, on a kernel before 5.19, write leases (CAP_BPF).",
    see: "'getpcaps PID' with the engine's pid, which doctor prints in its line about the engine; 'journalctl -u carpd' says what failed at its start.",
    todo: "Let it be started as root with these capabilities: not taken away by CapabilityBoundingSet in a drop-in ('systemctl cat carpd'), and given to a container with --cap-add.",
  },
  "privileges-kept": {
    level: "warning",
    meaning: "The engine could not give up the capabilities of root that it needs only at its start.",
    see: "'getpcaps PID' with the engine's pid; 'journalctl -u carpd' names the call that failed.",
    todo: "Restart it, as root: 'systemctl restart carpd'. In a container, look for a seccomp profile that forbids the call that the log names.",
  },
  "runs-as-root": {
    level: "warning",
    meaning:
      "There is a user _carpd, and the engine is root all the same: it can read and write the files of root, though it has not its capabilities.",
    see: "'ps -o user= -p PID' with the engine's pid; 'journalctl -u carpd' says why it could not become _carpd.",
    todo: "Restart it, as root: 'systemctl restart carpd'.",
  },
  "no-landlock": {
    level: "warning",
    meaning:
      "The engine is not confined to the files that it needs, because the kernel has no Landlock. The protocol is not concerned.",
    see: "'cat /sys/kernel/security/lsm' does not list landlock.",
    todo: "Use a kernel with Landlock (5.13 or later, CONFIG_SECURITY_LANDLOCK), add landlock to lsm= of the kernel's command line, and look for a container's seccomp profile that withholds it.",
  },
  "no-ebpf": {
    level: "warning",
    meaning:
      "The engine cannot use eBPF. Addresses fail over, but without leases: a host whose engine stands still or is killed goes on answering while another one has taken over. Several carpnodes are refused.",
    see: "The finding has the kernel's answer; 'grep BPF /boot/config-$(uname -r)' shows how the kernel was built.",
    todo: "Use a kernel with CONFIG_BPF_SYSCALL, before 6.6 with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF as well, and let the engine start as root, in a container with CAP_BPF and CAP_PERFMON as well. Then restart it.",
  },
  clock: {
    level: "warning",
    meaning:
      "The system clock may be wrong, and strict_replay or signed_header is set: advertisements carry the time of day, and are refused when it goes back, or when a host is more than 10 seconds behind and has not heard the others.",
    see: "'timedatectl' or 'chronyc tracking'.",
    todo: "Run chrony or systemd-timesyncd: 'timedatectl set-ntp true'.",
  },
  "state-not-saved": {
    level: "error",
    meaning:
      "The engine cannot write its state. All works, but an engine that is started after this one was killed has an older configuration, or none.",
    see: "'df /run/carp', 'df -i /run/carp' and 'findmnt -T /run/carp' tell whether it is full or read-only.",
    todo: "Make room, or mount it writable: the engine tries again every second. What is in hostname.carp files, netstart applies again in any case.",
  },
  "no-runner": {
    level: "warning",
    meaning:
      "The process that runs hooks and service checks for the engine is gone, and the engine cannot start another: it has given up root. No hook runs at a failover, and no service demotes the host.",
    see: "'journalctl -u carpd -u carp-runner.socket' says when it ended; 'systemctl status carp-runner.socket'.",
    todo: "Restart the engine: 'systemctl restart carpd', which is no failover.",
  },
  "check-refused": {
    level: "warning",
    meaning:
      "The engine does not run a service check, because a user other than root could have written it, or its head has a line that cannot be read. The host is demoted until it is run, or nothing looks after its service: the finding says which.",
    see: "'carpctl service-status' has the reason; 'ls -l /etc/carp/service_status.d' shows owner and mode.",
    todo: "'chown root:root' and 'chmod 755' the file and its directory, or correct the line: see carp-service-status(7). Or remove the file.",
  },
  "check-not-executable": {
    level: "warning",
    meaning:
      "A script among the service checks is not executable, and passed over: its service may fail unnoticed.",
    see: "'ls -l /etc/carp/service_status.d'.",
    todo: "'chmod 755' the file, or remove it.",
  },
  "units-not-followed": {
    level: "warning",
    meaning:
      "Units demote this host while they are not active, and nothing tells the engine of a change: a service that fails does not move the addresses, and one that is back does not end the demotion.",
    see: "'systemctl status carp-units.service carp-units.path'; 'carpctl status' lists the units.",
    todo: "'systemctl enable --now carp-units.path', or end the demotion by units: 'carpctl promote --unit UNIT'.",
  },
  "needs-root": {
    level: "unknown",
    meaning: "This user may not see the facts, so that nothing can be said about them.",
    see: "'id -u' is not 0.",
    todo: "Ask again as root: 'sudo carpctl doctor'.",
  },
  "not-examined": {
    level: "unknown",
    meaning:
      "The facts cannot be had: the program that tells them is not there or does not answer, or doctor does not read them, such as rules of iptables.",
    see: "The finding names the program or the facts.",
    todo: "Look for yourself: 'timedatectl', 'systemctl status carp-units.service', 'nft list ruleset' or 'iptables-save'.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
