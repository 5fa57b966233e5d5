/**
 * State: everything that outlives the engine's process: the configuration, the advertisement counters,
 * maintenance, and the kernel adapters' documents. Read once, when the engine starts.
 */

import { join } from "node:path";
import type { HostConfiguration } from "../../core/command.ts";
import { BOOT, MAINTENANCE } from "../../core/demotion.ts";
import { SECOND } from "../../core/election/timing.ts";
import type { Instant } from "../../core/model.ts";
import type { Document } from "../../kernel/kernel.ts";
import { Boot, type BootFacts } from "./boot.ts";
import { areAhead, counterFloor, countersNow } from "./counter-floor.ts";
import { openDocument } from "./document.ts";
import { Maintenance } from "./maintenance.ts";
import { StateFile } from "./saved-state.ts";
import { Units } from "./units.ts";

interface Sources {
  readonly runDir: string;
  readonly stateDir: string;
  readonly boot: BootFacts;
  /** The longest that the host is demoted as booting, in seconds; undefined: it is not. */
  readonly bootDemotionS?: number | undefined;
}

const NOTHING: HostConfiguration = { interfaces: [], sysctl: [], groups: [], reasons: [] };

export class State {
  /** The configuration of the earlier engine, with maintenance as its file records it. */
  readonly configuration: HostConfiguration;
  /** The greatest counter that an earlier engine may have sent. */
  readonly counterFloor: bigint;
  /** Why the saved state cannot be used; undefined: it can be used, or there is none. */
  readonly unusable: string | undefined;
  readonly maintenance: Maintenance;
  readonly boot: Boot;
  /** Of the kernel. */
  readonly bootId: string;
  readonly units: Units;
  readonly #runDir: string;
  readonly #file: StateFile;

  private constructor(
    sources: Sources,
    file: StateFile,
    loaded: Awaited<ReturnType<StateFile["load"]>>,
    now: Instant,
  ) {
    this.#runDir = sources.runDir;
    this.#file = file;
    this.maintenance = new Maintenance(sources.stateDir);
    this.units = new Units(sources.stateDir);
    const { bootDemotionS: limitS } = sources;
    const limitUs = limitS === undefined ? undefined : limitS * SECOND;
    this.bootId = sources.boot.bootId;
    this.boot = new Boot(this.document("boot"), sources.boot, limitUs, now.us);
    const saved = loaded !== undefined && "configuration" in loaded ? loaded : undefined;
    this.unusable = loaded !== undefined && "unusable" in loaded ? loaded.unusable : undefined;
    this.counterFloor = counterFloor(saved?.counters, now);
    const { reasons, units = [], ...others } = saved?.configuration ?? NOTHING;
    this.configuration = {
      ...others,
      units: this.units.restored(units),
      reasons: [
        ...reasons.filter(({ reason }) => reason !== MAINTENANCE.reason && reason !== BOOT.reason),
        ...(this.maintenance.on ? [MAINTENANCE] : []),
        ...(this.boot.endsUs === undefined ? [] : [BOOT]),
      ],
    };
  }

  /** Reads the state. Changes no file: an engine that runs in the same run directory is not disturbed. */
  static async read(sources: Sources, now: Instant): Promise<State> {
    const file = new StateFile(sources.runDir);
    return new State(sources, file, await file.load(), now);
  }

  /** The file with the saved state. */
  get path(): string {
    return this.#file.path;
  }

  /** Opens a small JSON document in the run directory. */
  document(name: string): Document {
    return openDocument(join(this.#runDir, `${name}.json`));
  }

  /** Saves the state. @param greatestCounter the greatest counter that was or may be sent */
  save(configuration: HostConfiguration, greatestCounter: bigint, now: Instant): Promise<void> {
    return this.#file.save({ configuration, counters: countersNow(greatestCounter, now) });
  }

  /** Ends the state after a stop in order: only counters that are ahead of the system clock are kept. */
  async end(greatestCounter: bigint, now: Instant): Promise<void> {
    if (areAhead(greatestCounter, now)) await this.save(NOTHING, greatestCounter, now);
    else await this.#file.remove();
  }

  /** Renames a saved state that cannot be used, so that it is kept for a person. @returns its new path */
  setAside(): Promise<string> {
    return this.#file.setAside();
  }

  /** Whether another program has removed the saved state; true once. */
  takeRemoval(): boolean {
    return this.#file.takeRemoval();
  }
}
