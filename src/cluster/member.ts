/**
 * Members: one carp interface of one host, configured as its file says, by the core's own rules. Also what the files of
 * a host say by themselves.
 */

import { lineOf } from "../config/hostname-file.ts";
import { lineOf as sysctlLineOf } from "../config/sysctl-file.ts";
import { type Claim, Claims } from "../core/claims.ts";
import type { InterfaceConfiguration } from "../core/interface/configuration.ts";
import { applyChange, newInterface, type Surroundings } from "../core/interface/reconfigure.ts";
import { type SysctlName, SysctlTree } from "../core/sysctl.ts";
import { type Finding, finding, type Place } from "./finding.ts";
import type { HostFiles, InterfaceFile } from "./host-files.ts";

export interface Member {
  readonly host: ConfiguredHost;
  readonly file: InterfaceFile;
  readonly configuration: InterfaceConfiguration;
}

export interface ConfiguredHost {
  readonly files: HostFiles;
  /** The defaults, where the file was not read. */
  readonly variables: SysctlTree;
  readonly areVariablesKnown: boolean;
  /** The interfaces that take part in CARP: up, with a vhid and an address. */
  readonly members: readonly Member[];
  /** Whether all of its files could be read: what it lacks is known only then. */
  readonly isComplete: boolean;
}

export const nameOf = ({ host }: Member): string => host.files.name;

/** The line with the last of these words, or else that of the vhid, or the file. */
export function placeOf(member: Member, ...words: readonly string[]): Place {
  return { host: nameOf(member), file: member.file.path, line: lineWith(member, words) };
}

function lineWith({ file: { lines } }: Member, words: readonly string[]): number | undefined {
  for (const word of [...words, "vhid", "carpnodes"]) {
    const line = lineOf(word, lines);
    if (line !== undefined) return line;
  }
  return undefined;
}

/** The line that sets the variable, or the file that could. */
export function variablePlace({ files }: ConfiguredHost, name: SysctlName): Place {
  const line = files.settings?.find((each) => each.name === name)?.line;
  return { host: files.name, file: files.variablesPath, line };
}

export function configuredHost(files: HostFiles): { host: ConfiguredHost; findings: Finding[] } {
  const findings = files.complaints.map(({ path, line, message, isError }) =>
    finding(isError ? "unreadable" : "suspect-line", { host: files.name, file: path, line }, message),
  );
  const members: Member[] = [];
  const variables = variablesOf(files, findings);
  let isComplete = !files.complaints.some(({ isError }) => isError);
  const host: ConfiguredHost = {
    files,
    variables,
    areVariablesKnown: files.settings !== undefined && !findings.some(({ kind }) => kind === "refused"),
    members,
    get isComplete() {
      return isComplete;
    },
  };
  const claims = new Claims();
  for (const file of files.interfaces) {
    const configuration = configured(file, claims, files.name, findings);
    if (configuration === undefined) {
      isComplete = false;
      continue;
    }
    claims.set(file.interface, [configuration]);
    const member = { host, file, configuration };
    const absence = absenceOf(member);
    if (absence === undefined) members.push(member);
    else findings.push(absence);
  }
  if (files.interfaces.length === 0 && isComplete)
    findings.push(
      finding(
        "no-interface",
        { host: files.name, file: files.path },
        `${files.name} has no hostname.carpN file`,
      ),
    );
  return { host, findings };
}

/** By the default, and what the file sets. */
function variablesOf(files: HostFiles, findings: Finding[]): SysctlTree {
  const variables = new SysctlTree();
  const settings = files.settings ?? [];
  const refusal = variables.refusalOf(settings);
  if (refusal !== undefined) {
    const place = { host: files.name, file: files.variablesPath, line: sysctlLineOf(refusal, settings) };
    findings.push(finding("refused", place, refusal));
    return variables;
  }
  for (const { name, value } of settings) variables.set(name as SysctlName, value);
  return variables;
}

/** The configuration that the engine would have of the file; undefined: it would have none. */
function configured(
  file: InterfaceFile,
  claims: Claims,
  host: string,
  findings: Finding[],
): InterfaceConfiguration | undefined {
  const surroundings = (claimedBy: Surroundings["claimedBy"]): Surroundings => ({
    balancing: true,
    // The devices of that host are not known here.
    links: new Map(),
    unfit: new Map(),
    claimedBy,
    isFromFile: true,
  });
  const before = newInterface(file.interface);
  const claimant = (claim: Claim) => claims.of(claim)[Symbol.iterator]().next().value;
  const wanted = applyChange(before, file.change, surroundings(claimant));
  if (!("error" in wanted)) return wanted;
  const place = { host, file: file.path, line: lineOf(wanted.error, file.lines) };
  findings.push(finding("refused", place, wanted.error));
  // With a conflict between interfaces of the host, the file is still compared with those of other hosts.
  const alone = applyChange(
    before,
    file.change,
    surroundings(() => undefined),
  );
  return "error" in alone ? undefined : alone;
}

/** Why the interface takes no part; undefined: it does. */
function absenceOf(member: Member): Finding | undefined {
  const { name, nodes, addresses, up } = member.configuration;
  if (nodes.length === 0) return finding("stays-init", placeOf(member), `${name} has no vhid`);
  if (addresses.length === 0) return finding("stays-init", placeOf(member), `${name} has no address`);
  return up ? undefined : finding("is-down", placeOf(member, "down"), `${name} is down`);
}
