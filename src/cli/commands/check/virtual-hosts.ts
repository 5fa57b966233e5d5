/** The virtual hosts that a comparison has found, for people to see what was taken for the same one. */

import type { Comparison } from "../../../cluster/comparison.ts";
import { nameOf } from "../../../cluster/member.ts";
import { type Rank, ranking, sharesOf, vhidsOf } from "../../../cluster/ranking.ts";
import type { Shared } from "../../../cluster/segments.ts";
import { escapeControls } from "../../../control/printable.ts";
import { type Column, drawn } from "../../show/table.ts";

interface Row {
  readonly vhid: number;
  readonly shared: Shared;
  /** The preferred host first. */
  readonly ranks: readonly Rank[];
}

function rowsOf({ segments }: Comparison): Row[] {
  return segments.flatMap(({ shared }) =>
    shared.flatMap((each) =>
      vhidsOf(each).map((vhid) => ({ vhid, shared: each, ranks: ranking(each, vhid) })),
    ),
  );
}

/** Every address that one of the hosts has. */
function addressesOf({ members }: Shared): string[] {
  return [
    ...new Set(
      members.flatMap(({ configuration }) =>
        configuration.addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
      ),
    ),
  ];
}

const MOST_ADDRESSES = 4;

function addressCell(shared: Shared): string {
  const addresses = addressesOf(shared);
  const shown = addresses.length > MOST_ADDRESSES ? addresses.slice(0, MOST_ADDRESSES - 1) : addresses;
  return [
    ...shown,
    ...(shown.length < addresses.length ? [`and ${addresses.length - shown.length} more`] : []),
  ].join("\n");
}

const each = (ranks: readonly Rank[], text: (rank: Rank) => string) =>
  ranks.map((rank) => escapeControls(text(rank))).join("\n");

const COLUMNS: readonly Column<Row>[] = [
  { title: "VHID", cell: ({ vhid }) => String(vhid) },
  { title: "ADDRESSES", cell: ({ shared }) => addressCell(shared) },
  { title: "HOST", cell: ({ ranks }) => each(ranks, ({ member }) => nameOf(member)) },
  {
    title: "INTERFACE",
    cell: ({ ranks }) => each(ranks, ({ member }) => member.configuration.name),
  },
  {
    title: "CARPDEV",
    cell: ({ ranks }) => each(ranks, ({ member }) => member.configuration.carpdev ?? "by address"),
  },
  {
    title: "ADV",
    cell: ({ ranks }) => each(ranks, ({ member, advskew }) => `${member.configuration.advbase}/${advskew}`),
  },
];

/** A table, and the shares of balanced hosts; undefined: there is none. */
export function virtualHostsText(comparison: Comparison, columns: number): string | undefined {
  const rows = rowsOf(comparison);
  if (rows.length === 0) return undefined;
  const shares = balanced(comparison).map((shared) => {
    const each = [...sharesOf(shared)].map(
      ([member, share]) => `${nameOf(member)} ${Math.round(share * 100)}%`,
    );
    return `nodes ${vhidsOf(shared).join()}: ${each.join(", ")}`;
  });
  return [drawn(COLUMNS, rows, columns), ...shares].join("\n");
}

function balanced({ segments }: Comparison): Shared[] {
  return segments
    .flatMap(({ shared }) => shared)
    .filter(({ members }) => members.some(({ configuration }) => configuration.nodes.length > 1));
}

/** Every field always there; `share` is null where nothing is balanced. */
export function virtualHostsJson(comparison: Comparison) {
  const isBalanced = new Set(balanced(comparison));
  return {
    virtualHosts: rowsOf(comparison).map(({ vhid, shared, ranks }) => ({
      vhid,
      addresses: addressesOf(shared),
      hosts: ranks.map(({ member, advskew }) => ({
        host: nameOf(member),
        interface: member.configuration.name,
        carpdev: member.configuration.carpdev ?? null,
        advbase: member.configuration.advbase,
        advskew,
        share: isBalanced.has(shared) ? (sharesOf(shared).get(member) ?? 0) : null,
      })),
    })),
  };
}
