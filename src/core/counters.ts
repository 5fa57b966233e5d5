/** The counters of `netstat -s -p carp`, one for every way an advertisement can go. */

const names = [
  "receivedIpv4",
  "receivedIpv6",
  "badInterface",
  "badTtl",
  "shorterThanHeader",
  "badChecksum",
  "badVersion",
  "tooShort",
  "badAuthentication",
  "badVhid",
  "badAddressList",
  "unexamined",
  "sentIpv4",
  "sentIpv6",
  "sendFailed",
  "transitionsToMaster",
] as const;

export type CounterName = (typeof names)[number];
export type Counters = Record<CounterName, number>;

export function zeroCounters(): Counters {
  return Object.fromEntries(names.map((name) => [name, 0])) as Counters;
}
