/**
 * Answers to the question why a digest is wrong: a cause for scripts, and for people what the other host has and what
 * to do about it. Never a pass.
 */

import type { DigestCause, DigestExplanation, DigestQuestion, Sibling } from "./question.ts";
import type { AddressFault, Fault, PassFault, Whose } from "./suppositions.ts";

/** More addresses are told by their number. */
const MOST_NAMED = 4;

/** What fits. */
export function answer(
  question: DigestQuestion,
  { pass, addresses, lladdr, vhid }: Fault,
): DigestExplanation {
  const { source } = question;
  const crossed = addresses.kind === "of" ? crossedWith(addresses, question) : undefined;
  if (crossed !== undefined)
    return {
      cause: "carpdev",
      ...(question.isOfOtherVhid ? { interface: crossed.name } : {}),
      text: `${source} has on the segment of ${question.carpdev} the vhid ${question.vhid}, pass and addresses of ${crossed.name}, which is on ${crossed.carpdev} here`,
      todo: `exchange the cables, VLANs or carpdevs of the interfaces on one of the hosts: carp interfaces of one vhid belong on one segment`,
    };
  const isOfOne = pass.kind === "of" && addresses.kind === "of";
  if (isOfOne) {
    const { interface: name } = addresses;
    return {
      ...(question.isOfOtherVhid
        ? { cause: "vhid", interface: name }
        : { cause: "addresses-of-other-interface" }),
      text: `${source} has under vhid ${question.vhid} the pass and the addresses of ${name} here (vhid ${vhidsOf(name, question)})`,
      todo: "give both hosts the same vhid for the same addresses",
    };
  }
  if (vhid !== undefined)
    return {
      cause: "vhid",
      text: `${source} has the same pass and addresses, but signs them for vhid ${vhid}`,
      todo: "look for what changes the vhid on the way, or for another host with this source address",
    };
  if (lladdr !== undefined)
    return {
      cause: "lladdr",
      text: `${source} has the same pass and addresses, but ${lladdrText(lladdr, question)}`,
      todo: "set the same lladdr on every host of the vhid, or on none",
    };
  const there = addressText(addresses, question);
  if (pass.kind === "same")
    return {
      cause: ADDRESS_CAUSES[addresses.kind],
      text: `${source} has the same pass, but ${there}`,
      todo: addressTodo(addresses, question),
    };
  const { cause, text, todo } = passWords(pass, question);
  if (addresses.kind === "same") return { cause, text: `${source} ${text}`, todo };
  return {
    cause,
    text: `${source} ${text}, and ${there}`,
    todo: `${todo}; ${addressTodo(addresses, question)}`,
  };
}

/** The interface on another carpdev here that has the same vhid and these addresses. */
function crossedWith(
  { interface: name }: Extract<AddressFault, { kind: "of" }>,
  { siblings, vhid, carpdev }: DigestQuestion,
): Sibling | undefined {
  return siblings.find(
    (each) =>
      each.name === name &&
      each.carpdev !== undefined &&
      each.carpdev !== carpdev &&
      each.vhids.includes(vhid),
  );
}

/**
 * Nothing fits: what cannot be the fault.
 *
 * @param isComplete whether every address was left out, and one more tried
 */
export function noAnswer(
  { source, vhid, pass, siblings }: DigestQuestion,
  isComplete: boolean,
): DigestExplanation {
  const none = siblings.length > 0 ? ", neither none nor that of another interface here," : ", not none,";
  const other = pass === "" ? "a pass, and this host has none," : `another pass${none}`;
  const addresses = isComplete
    ? "addresses that differ from the ones here in more than one"
    : "other addresses";
  return {
    cause: "unknown",
    text: `${source} has ${other} or ${addresses}`,
    todo: `give every host of vhid ${vhid} the same pass and addresses; a host of another group needs another vhid`,
  };
}

const ADDRESS_CAUSES: Readonly<Record<AddressFault["kind"], DigestCause>> = {
  same: "unknown",
  lacks: "address-missing",
  "lacks-family": "family-missing",
  has: "address-extra",
  instead: "address-different",
  of: "addresses-of-other-interface",
};

/** What the other host has, behind `but` or `and`. */
function addressText(fault: AddressFault, question: DigestQuestion): string {
  switch (fault.kind) {
    case "same":
      return "the same addresses";
    case "lacks": {
      if (isOfSource(fault.addresses, question))
        return `does not share ${named(fault.addresses)}, which is its own address, and this host does`;
      const own =
        fault.addresses.length === 1 && question.carpdevAddresses.includes(fault.addresses[0] ?? "");
      return `not ${named(fault.addresses)}${own ? `, which ${question.carpdev} has here too` : ""}`;
    }
    case "lacks-family":
      return `none of the IPv${fault.family} addresses`;
    case "has":
      return `also ${named(fault.addresses)}${whoseText(fault.whose, question)}`;
    case "instead":
      return `${fault.there} instead of ${fault.here}`;
    case "of":
      return `the addresses of ${fault.interface} here (vhid ${vhidsOf(fault.interface, question)})`;
  }
}

function whoseText(whose: Whose, { carpdev }: DigestQuestion): string {
  switch (whose.kind) {
    case "source":
      return ", its own address, on the carp interface";
    case "carpdev":
      return `, which is of ${carpdev} here`;
    case "automatic":
      return ", the link-local address that its carp interface made of its MAC";
    case "interface":
      return `, which ${whose.interface} has here`;
    case "unknown":
      return "";
  }
}

/** Whether the one address that the other host does not share is its own. */
function isOfSource(addresses: readonly string[], { source }: DigestQuestion): boolean {
  return addresses.length === 1 && addresses[0] === source;
}

function addressTodo(fault: AddressFault, question: DigestQuestion): string {
  const many = (fault.kind === "lacks" || fault.kind === "has") && fault.addresses.length > 1;
  const it = many || fault.kind === "lacks-family" ? "them" : "it";
  switch (fault.kind) {
    case "same":
      return "";
    case "lacks":
      if (isOfSource(fault.addresses, question)) return "remove it here";
      return `add ${it} there or remove ${it} here`;
    case "lacks-family":
      return `add ${it} there or remove ${it} here`;
    case "has":
      return fault.whose.kind === "source" || fault.whose.kind === "carpdev"
        ? `remove ${it} there`
        : `remove ${it} there or add ${it} here`;
    case "instead":
      return `use the same on both; a host of another group needs another vhid than ${question.vhid}`;
    case "of":
      return "give both hosts the same vhid for the same addresses";
  }
}

function passWords(
  fault: PassFault,
  question: DigestQuestion,
): { readonly cause: DigestCause; readonly text: string; readonly todo: string } {
  const isNone = question.pass === "";
  switch (fault.kind) {
    case "same":
      return { cause: "unknown", text: "has the same pass", todo: "" };
    case "none":
      return { cause: "no-pass", text: "has no pass", todo: "set the pass there" };
    case "line-end":
      return {
        cause: "pass-line-end",
        text: "has the same pass with a line end behind it",
        todo: "set the pass there without the line end, which a file it is read from may have",
      };
    case "blank":
      return {
        cause: "pass-blank",
        text: "has the same pass with a blank before or behind it",
        todo: "set the pass there without the blank",
      };
    case "trimmed":
      return {
        cause: "pass-blank",
        text: "has the same pass without the blanks that it has here before or behind it",
        todo: "set the pass here without the blanks",
      };
    case "quoted":
      return {
        cause: "pass-quoted",
        text: "has the same pass with the quotes around it",
        todo: "set the pass there without the quotes",
      };
    case "longer":
      return {
        cause: "pass-length",
        text: "uses more of the pass than its first 19 bytes, which are all that carp uses",
        todo: "set a pass of at most 19 bytes on every host",
      };
    case "earlier":
      return {
        cause: "pass-earlier",
        text: "has the pass that this host had before",
        todo: "change the pass there too",
      };
    case "of":
      return {
        cause: "pass-of-other-interface",
        text: `has the pass that ${fault.interface} has here (vhid ${vhidsOf(fault.interface, question)})${isNone ? ", and this vhid has none here" : ""}`,
        todo: isNone ? "set the same pass here" : "set the same pass on both hosts",
      };
  }
}

function lladdrText(there: string | null, { lladdr }: DigestQuestion): string {
  if (there === null) return `does not sign the lladdr ${lladdr}, which is set here`;
  return lladdr === undefined
    ? `signs the lladdr ${there}, and none is set here`
    : `signs the lladdr ${there}, and here it is ${lladdr}`;
}

function vhidsOf(name: string, { siblings }: DigestQuestion): string {
  return (siblings.find((each) => each.name === name)?.vhids ?? []).join(", ");
}

function named(addresses: readonly string[]): string {
  if (addresses.length > MOST_NAMED) return `${addresses.length} addresses more`;
  return addresses.join(" and ");
}
