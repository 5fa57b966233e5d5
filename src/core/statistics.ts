/**
 * The statistics of `netstat -s -p carp`: one count per outcome of a packet (received, dropped and why,
 * sent).
 */

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

export type StatisticName = (typeof names)[number];
export type Statistics = Record<StatisticName, number>;

export function zeroStatistics(): Statistics {
  return Object.fromEntries(names.map((name) => [name, 0])) as Statistics;
}
