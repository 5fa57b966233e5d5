/**
 * Exposition: Prometheus' text format, version 0.0.4, written straight into bytes: an export of a thousand interfaces has
 * tens of thousands of lines, and strings for them would cost more than all else.
 */

import { FAMILIES, type MetricName } from "./families.ts";

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The labels of a sample as the text has them, without braces. */
export type LabelText = Uint8Array & { readonly areLabels: true };

/** Values may be any text. */
export function labels(values: Readonly<Record<string, string>>): LabelText {
  const each = Object.entries(values).map(([name, value]) => `${name}="${escaped(value)}"`);
  return encoded(each.join(","));
}

/** The labels of a carp interface, or of a virtual host: names of interfaces need no escape. */
export function labelsOf(name: string, vhid?: number): LabelText {
  return encoded(vhid === undefined ? `interface="${name}"` : `interface="${name}",vhid="${vhid}"`);
}

function encoded(text: string): LabelText {
  return Buffer.from(text) as Uint8Array as LabelText;
}

function escaped(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll(/[\\"\n]/g, (each) => (each === "\n" ? "\\n" : `\\${each}`));
}

/** Observations by upper bound. */
export interface Histogram {
  readonly bounds: readonly number[];
  /** The number of observations up to each bound, and of all. */
  readonly counts: readonly number[];
  readonly sum: number;
}

const [OPEN, COMMA, CLOSE, SPACE, NEWLINE, ZERO] = [..."{,} \n0"].map((each) => each.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
/** The most that a number takes, with what stands around it. */
const ROOM = 64;

export class Exposition {
  #bytes: Uint8Array;
  #length = 0;
  #name = new Uint8Array(0);

  /** @param expected its length in bytes, if that is known: it grows as it has to */
  constructor(expected = 0) {
    this.#bytes = new Uint8Array(Math.max(expected, 4096));
  }

  /** Begins a metric: its samples follow. */
  begin(name: MetricName): void {
    const { help, type } = FAMILIES[name];
    this.#write(Buffer.from(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`));
    this.#name = Buffer.from(name);
  }

  /** Adds a sample of the metric that has begun. */
  add(value: number, some?: LabelText, others?: LabelText): void {
    this.#write(this.#name);
    if (some !== undefined) {
      this.#byte(OPEN);
      this.#write(some);
      if (others !== undefined) {
        this.#byte(COMMA);
        this.#write(others);
      }
      this.#byte(CLOSE);
    }
    this.#byte(SPACE);
    if (value >= 0 && value <= 9 && Number.isInteger(value)) this.#byte(ZERO + value);
    else this.#write(Buffer.from(String(value)));
    this.#byte(NEWLINE);
  }

  addHistogram({ bounds, counts, sum }: Histogram): void {
    const name = Buffer.from(this.#name).toString();
    const lines = counts.map((count, at) => `${name}_bucket{le="${bounds[at] ?? "+Inf"}"} ${count}\n`);
    this.#write(Buffer.from(`${lines.join("")}${name}_sum ${sum}\n${name}_count ${counts.at(-1) ?? 0}\n`));
  }

  /** The text so far, as UTF-8. */
  get text(): Buffer {
    return Buffer.from(this.#bytes.buffer, 0, this.#length);
  }

  #byte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  /** Makes sure that there is room for some single bytes behind it. */
  #write(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length + ROOM > this.#bytes.length) {
      const larger = new Uint8Array(2 * (length + ROOM));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }
}
