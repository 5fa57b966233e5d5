/**
 * eBPF programs of another owner on a device: TCX programs that end the chain for every packet, before all others, and
 * XDP programs that let every packet through. Needs Linux 6.6. And the end of all programs, whoever attached them.
 */

import { execFileSync } from "node:child_process";
import type { Host } from "./host.ts";

/** Loads and attaches a program that returns a constant. By TCX it stays; XDP goes with this process. */
const ATTACH = `
import ctypes, platform, socket, struct, sys, time
hook, device = sys.argv[1:]
bpf = ctypes.CDLL(None, use_errno=True).syscall
NUMBER = 280 if platform.machine() == "aarch64" else 321
def call(command, attributes):
    memory = ctypes.create_string_buffer(attributes, len(attributes))
    found = bpf(NUMBER, command, memory, len(attributes))
    if found < 0: sys.exit("bpf command %d: errno %d" % (command, ctypes.get_errno()))
    return found
# XDP_PASS, or TC_ACT_OK: no program behind it runs.
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 2 if hook == "xdp" else 0, 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b"GPL")
kind = 6 if hook == "xdp" else 3
program = call(5, struct.pack("=IIQQIIQII16s", kind, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, b"foreign"))
index = socket.if_nametoindex(device)
if hook == "xdp":
    # BPF_LINK_CREATE; XDP_FLAGS_SKB_MODE
    call(28, struct.pack("=IIII", program, index, 37, 2))
    print("attached", flush=True)
    time.sleep(3600)
else:
    # BPF_PROG_ATTACH; BPF_F_BEFORE
    call(8, struct.pack("=IIIIIIQ", index, program, 46 if hook == "ingress" else 47, 8, 0, 0, 0))
`;

/** Takes all programs off the devices of its namespace. */
const STRIP = `
  const { native } = await import(${JSON.stringify(new URL("../../src/kernel/native.ts", import.meta.url).href)});
  const { nativeBpf } = await import(${JSON.stringify(new URL("../../src/kernel/data-path/native-bpf.ts", import.meta.url).href)});
  for (const index of native.interfaceIndexes()) {
    nativeBpf.deleteClsact(index);
    for (const ingress of [true, false]) {
      const programs = nativeBpf.listTcx?.(index, ingress);
      for (const id of Array.isArray(programs) ? programs : []) nativeBpf.detachTcx(id, index, ingress);
    }
  }`;

const words = (hook: string, device: string) => ["-ISc", ATTACH, hook, device];

/** Attaches a program before all others, in this process's namespace. */
export function attachForeign(device: string, hook: "ingress" | "egress"): void {
  execFileSync("/usr/bin/python3", words(hook, device));
}

export async function attachForeignOn(
  host: Host,
  hook: "ingress" | "egress",
  device = "eth0",
): Promise<void> {
  await host.run("/usr/bin/python3", ...words(hook, device));
}

/** @returns a function that takes the program off */
export async function attachXdpOn(host: Host, device = "eth0"): Promise<() => Promise<unknown>> {
  const owner = host.spawn("/usr/bin/python3", words("xdp", device));
  await owner.log.waitFor(/^attached$/);
  return () => {
    owner.kill("SIGKILL");
    return owner.exited;
  };
}

/** Takes all programs but XDP off the host's devices, those of carp and others. */
export async function stripPrograms(host: Host): Promise<void> {
  await host.run(process.execPath, "--input-type=module", "-e", STRIP);
}
