/**
 * `--since` and `--until`: a moment as people write it: a time of the day, a date, both, with or without a zone, or how long ago it
 * was. Without a zone it is local time.
 */

import { printable } from "../../../control/printable.ts";
import { type Refusal, refuse } from "../../outcome.ts";

const EXPECTED =
  "expected a time like 03:12, 2026-11-21 or '2026-11-21 03:12', or how long ago, like 45s, 10m, 2h or 3d";

const SECONDS_OF = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const DURATION = /^-?(?:\d{1,9}[smhd])+$/;
const CLOCK = String.raw`(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d)(?:\.(?<fraction>\d{1,6}))?)?`;
const TIME = new RegExp(`^${CLOCK}$`);
const DATE = String.raw`(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)`;
const ZONE = String.raw`(?<zone>Z|[+-]\d\d:?\d\d)?`;
const MOMENT = new RegExp(`^${DATE}(?:[T ]${CLOCK}${ZONE})?$`);

/** A moment, in milliseconds since the Unix epoch. */
export interface Moment {
  readonly atMs: number;
}

/**
 * @param option the one that has the text as its value
 * @param nowMs the time now, in milliseconds since the Unix epoch
 */
export function readMoment(option: string, text: string, nowMs: number): Moment | Refusal {
  const atMs = DURATION.test(text) ? nowMs - durationMs(text) : momentOf(text, nowMs);
  return atMs === undefined || !Number.isFinite(atMs)
    ? refuse(`${option} ${printable(text)}: ${EXPECTED}`)
    : { atMs };
}

function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * SECONDS_OF[unit as keyof typeof SECONDS_OF] * 1000,
    0,
  );
}

function momentOf(text: string, nowMs: number): number | undefined {
  const today = new Date(nowMs);
  const fields = [today.getFullYear(), today.getMonth(), today.getDate()] as const;
  if (text === "now") return nowMs;
  if (text === "today") return new Date(...fields).getTime();
  if (text === "yesterday") return new Date(fields[0], fields[1], fields[2] - 1).getTime();
  const clock = TIME.exec(text)?.groups;
  if (clock !== undefined) {
    const atMs = localMs(fields, clock);
    // A time of the day that is still to come is yesterday's.
    if (atMs === undefined || atMs <= nowMs) return atMs;
    return localMs([fields[0], fields[1], fields[2] - 1], clock);
  }
  const moment = MOMENT.exec(text)?.groups;
  if (moment === undefined) return undefined;
  const date = [Number(moment.year), Number(moment.month) - 1, Number(moment.day)] as const;
  // A day that the month does not have would be one of the next.
  const day = new Date(Date.UTC(...date));
  if (day.getUTCMonth() !== date[1] || day.getUTCDate() !== date[2]) return undefined;
  const { zone } = moment;
  if (zone === undefined) return localMs(date, moment);
  const utcMs = dayMs(moment);
  return utcMs === undefined ? undefined : Date.UTC(...date) + utcMs - zoneMs(zone);
}

type Groups = Readonly<Record<string, string | undefined>>;

function localMs(date: readonly [number, number, number], clock: Groups): number | undefined {
  const ms = dayMs(clock);
  if (ms === undefined) return undefined;
  const { hour = 0, minute = 0, second = 0 } = clock;
  return new Date(...date, Number(hour), Number(minute), Number(second), ms % 1000).getTime();
}

/** The time of the day in milliseconds; undefined: there is no such time. */
function dayMs({ hour = "0", minute = "0", second = "0", fraction = "" }: Groups): number | undefined {
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const ms = Number(fraction.padEnd(3, "0").slice(0, 3));
  return ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000 + ms;
}

/** @throws nothing: the text fits ZONE */
function zoneMs(zone: string): number {
  if (zone === "Z") return 0;
  const digits = zone.replace(/\D/g, "");
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return (zone.startsWith("-") ? -1 : 1) * minutes * 60_000;
}
