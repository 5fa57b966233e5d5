/**
 * The ifconfig keywords of carp, in one table that drives reading, `--help`, completion and the manual. A
 * keyword takes its argument into the draft or says why it cannot; it never talks to the engine.
 */

import {
  BALANCING_MODES,
  Balancing,
  DeviceName,
  GroupName,
  InterfaceChange,
  LIMITS,
  STATES,
  State,
} from "../../../control/messages.ts";
import { printable } from "../../../control/printable.ts";
import type { CandidateKind } from "../../completion/candidates.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import {
  type ChangeDraft,
  expectFamily,
  type MutableChange,
  moveGroup,
  takeAction,
  takeBroadcast,
  takeFamilyAway,
  takeNetmask,
  takePrefixLength,
  withoutScopes,
} from "./change-draft.ts";
import {
  carpNodes,
  fitting,
  limitedNumber,
  macAddress,
  passFromFile,
  peerAddresses,
} from "./keyword-values.ts";
import type { Lookups } from "./lookups.ts";

export interface KeywordInput {
  readonly draft: ChangeDraft;
  /** Empty for a keyword that takes none. */
  readonly argument: string;
  /** The word as typed, which may be a synonym. */
  readonly word: string;
  /** The word behind this one, not part of it. */
  readonly following: string | undefined;
  readonly lookups: Lookups;
}

export interface Keyword {
  readonly name: string;
  readonly synonyms?: readonly string[];
  /** The argument, as help shows it. */
  readonly argument?: string;
  /** Accepted values, where the placeholder does not say them. */
  readonly accepts?: string;
  /** Completion candidates for its argument, or for the address that follows it. */
  readonly completes?: CandidateKind;
  readonly help: string;
  apply(given: KeywordInput): Refusal | undefined | Promise<Refusal | undefined>;
}

/** Bytes of a pass that the protocol's key holds. */
const PASS_BYTES = 19;

export const KEYWORDS: readonly Keyword[] = [
  {
    name: "inet",
    help: "an IPv4 address follows",
    apply: ({ draft, word }) => void expectFamily(draft, 4, word),
  },
  {
    name: "inet6",
    help: "an IPv6 address follows",
    apply: ({ draft, word }) => void expectFamily(draft, 6, word),
  },
  {
    name: "alias",
    synonyms: ["add"],
    help: "add the address instead of replacing the first",
    apply: ({ draft, word, following }) => void takeAction(draft, "alias", word, following),
  },
  {
    name: "-alias",
    synonyms: ["delete", "remove"],
    completes: "addresses",
    help: "remove the address",
    apply: ({ draft, word, following }) => void takeAction(draft, "delete", word, following),
  },
  {
    name: "netmask",
    argument: "MASK",
    help: "of the IPv4 address before it, dotted or 0x",
    apply: ({ draft, argument }) => takeNetmask(draft, argument),
  },
  {
    name: "prefixlen",
    argument: "N",
    help: "prefix length of the address before it",
    apply: ({ draft, argument }) => takePrefixLength(draft, argument),
  },
  {
    name: "broadcast",
    argument: "ADDRESS",
    help: "broadcast address of the IPv4 address before it",
    apply: ({ draft, argument }) => takeBroadcast(draft, argument),
  },
  { name: "-inet", help: "remove every IPv4 address", apply: ({ draft }) => void takeFamilyAway(draft, 4) },
  { name: "-inet6", help: "remove every IPv6 address", apply: ({ draft }) => void takeFamilyAway(draft, 6) },
  {
    name: "carpdev",
    argument: "IF",
    completes: "devices",
    help: "the device to advertise on",
    apply: ({ draft, argument }) => set(draft, "carpdev", fitting(DeviceName, argument)),
  },
  {
    name: "vhid",
    ...limited("vhid"),
    completes: "vhids",
    help: "virtual host id",
    apply: ({ draft, argument }) => set(draft, "vhid", limitedNumber("vhid", argument)),
  },
  {
    name: "advbase",
    ...limited("advbase"),
    help: "seconds between advertisements",
    apply: ({ draft, argument }) => set(draft, "advbase", limitedNumber("advbase", argument)),
  },
  {
    name: "advskew",
    ...limited("advskew"),
    help: "added to advbase, in 1/256 s; the lowest wins",
    apply: ({ draft, argument }) => set(draft, "advskew", limitedNumber("advskew", argument)),
  },
  {
    name: "pass",
    argument: "PHRASE",
    help: `the secret that the hosts share, ${PASS_BYTES} bytes of it`,
    apply: ({ draft, argument }) => takePass(draft, argument),
  },
  {
    name: "passfile",
    argument: "FILE",
    completes: "files",
    help: "read the secret from a file's first line",
    apply: async ({ draft, argument, lookups }) => takePass(draft, await passFromFile(argument, lookups)),
  },
  {
    name: "grace",
    argument: "off",
    help: "sign with the new pass and addresses now, and refuse the old",
    apply: ({ draft, argument }) =>
      argument === "off"
        ? set(draft, "grace", argument)
        : refuse(`grace ${printable(argument)}: must be off: the time is net.inet.carp.grace`),
  },
  {
    name: "carppeer",
    synonyms: ["peer"],
    argument: "HOST[,HOST...]",
    completes: "hosts",
    help: "advertise to these hosts only, at most 31, over IPv4",
    apply: async ({ draft, argument, lookups }) =>
      set(draft, "carppeer", await peerAddresses("carppeer", argument, lookups)),
  },
  {
    name: "-carppeer",
    synonyms: ["mcast"],
    help: "advertise to the multicast group",
    apply: ({ draft }) => set(draft, "carppeer", null),
  },
  {
    name: "carppeer6",
    synonyms: ["peer6"],
    argument: "HOST[,HOST...]",
    completes: "hosts",
    help: "advertise to these hosts only, at most 31, over IPv6",
    apply: async ({ draft, argument, lookups }) =>
      set(draft, "carppeer6", await peerAddresses("carppeer6", withoutScopes(draft, argument), lookups)),
  },
  {
    name: "-carppeer6",
    synonyms: ["mcast6"],
    help: "advertise to the IPv6 multicast group",
    apply: ({ draft }) => set(draft, "carppeer6", null),
  },
  {
    name: "carpnodes",
    argument: "VHID:ADVSKEW[,...]",
    help: "the nodes that share the load, at most 32",
    apply: ({ draft, argument }) => set(draft, "carpnodes", carpNodes(argument)),
  },
  {
    name: "balancing",
    argument: "MODE",
    accepts: BALANCING_MODES.join("|"),
    help: "how they share it",
    apply: ({ draft, argument }) => set(draft, "balancing", fitting(Balancing, argument)),
  },
  {
    name: "state",
    argument: "STATE",
    accepts: STATES.join("|"),
    help: "force a state",
    apply: ({ draft, argument }) => set(draft, "state", stateOf(argument)),
  },
  {
    name: "lladdr",
    argument: "MAC",
    help: "use this MAC instead of the virtual one; carpdev: its own",
    apply: ({ draft, argument }) => set(draft, "lladdr", macAddress(argument)),
  },
  { name: "-lladdr", help: "use the virtual MAC address", apply: ({ draft }) => set(draft, "lladdr", null) },
  {
    name: "announce",
    ...limited("announce"),
    argument: "SECONDS",
    help: "as master announce each address so often; 0: never",
    apply: ({ draft, argument }) => set(draft, "announce", limitedNumber("announce", argument)),
  },
  {
    name: "-announce",
    help: "60 with unicast peers or lladdr carpdev, otherwise 0",
    apply: ({ draft }) => set(draft, "announce", null),
  },
  {
    name: "preemptdelay",
    ...limited("preemptdelay"),
    argument: "SECONDS",
    help: "once back, preempt no healthy master for so long",
    apply: ({ draft, argument }) => set(draft, "preemptdelay", limitedNumber("preemptdelay", argument)),
  },
  {
    name: "-preemptdelay",
    help: "as net.inet.carp.preempt_delay says",
    apply: ({ draft }) => set(draft, "preemptdelay", null),
  },
  {
    name: "group",
    argument: "GROUP",
    completes: "groups",
    help: "join an interface group",
    apply: ({ draft, argument }) => takeGroup(draft, "joinGroups", argument),
  },
  {
    name: "-group",
    argument: "GROUP",
    completes: "groups",
    help: "leave an interface group",
    apply: ({ draft, argument }) => takeGroup(draft, "leaveGroups", argument),
  },
  {
    name: "description",
    synonyms: ["descr"],
    argument: "TEXT",
    help: "a note that is shown with the interface",
    apply: ({ draft, argument }) => set(draft, "description", checked("description", argument)),
  },
  {
    name: "-description",
    synonyms: ["-descr"],
    help: "remove the note",
    apply: ({ draft }) => set(draft, "description", null),
  },
  {
    name: "mtu",
    ...limited("mtu"),
    help: "largest packet in bytes",
    apply: ({ draft, argument }) => set(draft, "mtu", limitedNumber("mtu", argument)),
  },
  { name: "up", help: "take part in CARP", apply: ({ draft }) => set(draft, "up", true) },
  {
    name: "down",
    help: "stop, and let another host take over",
    apply: ({ draft }) => set(draft, "up", false),
  },
  {
    name: "create",
    help: "create the interface; any change creates it too",
    apply: ({ draft }) => {
      draft.create = true;
      return undefined;
    },
  },
  {
    name: "destroy",
    help: "remove the interface",
    apply: ({ draft }) => {
      draft.destroy = true;
      return undefined;
    },
  },
  {
    name: "rdomain",
    argument: "N",
    help: "not on Linux: a network namespace does this",
    apply: ({ argument }) =>
      refuse(`rdomain ${printable(argument)}: not on Linux: put the engine in a network namespace instead`),
  },
];

const byWord = new Map(
  KEYWORDS.flatMap((each) => [each.name, ...(each.synonyms ?? [])].map((word) => [word, each])),
);

export function keywordOf(word: string): Keyword | undefined {
  return byWord.get(word);
}

/** Every word that can stand where a keyword is expected. */
export function everyWord(): readonly string[] {
  return [...byWord.keys()];
}

function limited(name: keyof typeof LIMITS): { readonly argument: string; readonly accepts: string } {
  return { argument: "N", accepts: LIMITS[name].join("..") };
}

function set<K extends keyof MutableChange>(
  draft: ChangeDraft,
  key: K,
  value: MutableChange[K] | Refusal,
): Refusal | undefined {
  if (isRefusal(value)) return value;
  draft.change[key] = value;
  return undefined;
}

/** In upper or lower case, as FreeBSD takes it and ifconfig prints it. */
function stateOf(text: string): MutableChange["state"] | Refusal {
  return STATES.find((state) => state === text.toLowerCase()) ?? fitting(State, text);
}

/** The value as the control message takes it. */
function checked<K extends "pass" | "description">(key: K, text: string): string | Refusal {
  const value = fitting(InterfaceChange.shape[key], text);
  return isRefusal(value) ? value : text;
}

function takePass(draft: ChangeDraft, pass: string | Refusal): Refusal | undefined {
  if (isRefusal(pass)) return pass;
  const tooLong = Buffer.byteLength(pass) > PASS_BYTES;
  draft.warnings = tooLong ? [`pass: only its first ${PASS_BYTES} bytes are used`] : [];
  return set(draft, "pass", checked("pass", pass));
}

function takeGroup(
  draft: ChangeDraft,
  into: "joinGroups" | "leaveGroups",
  text: string,
): Refusal | undefined {
  const group = fitting(GroupName, text);
  if (isRefusal(group)) return group;
  moveGroup(draft, into, group);
  return undefined;
}
