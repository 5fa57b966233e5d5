/**
 * Test hosts in network namespaces, with real frames and the real kernel: for the net, interop and soak
 * tests, the benchmarks and the demo.
 */

export { Bsd } from "./bsd.ts";
export type { Capture } from "./capture.ts";
export { summary } from "./capture.ts";
export * as echo from "./echo.ts";
export type { Engine } from "./engine.ts";
export { eventually, eventuallyEqual } from "./eventually.ts";
export * as forge from "./forge.ts";
export type { Frame } from "./frames.ts";
export { macBytes } from "./frames.ts";
export type { Host } from "./host.ts";
export type { Output } from "./namespace.ts";
export { createNetwork, type Network } from "./network.ts";
export type { PingReport } from "./ping.ts";
export { traces } from "./traces.ts";
export {
  assertAnnouncement,
  assertOnlyVirtualMac,
  isAnnouncement,
  type Shared,
  virtualMac,
} from "./virtual-mac.ts";
export { wholeState } from "./whole-state.ts";
