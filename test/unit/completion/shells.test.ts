/** The completions in real shells: lines typed on a terminal, with the tabulator, and what they came to. */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { execa } from "execa";
import { CARPCTL } from "../../hosts/program.ts";
import { node, scriptedEngine, view } from "../cli/scripted-engine.ts";

const tree = join(import.meta.dirname, "../../..");
const completions = join(tree, "completions");

const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));
writeFileSync(join(directory, "secret"), "sesame\n");

const engine = await scriptedEngine(({ method }) => {
  const addresses = [{ family: 6 as const, address: "2001:db8::7", prefixLength: 64 }];
  switch (method) {
    case "interfaces":
      return {
        nowUs: 1,
        interfaces: [view(), view({ name: "carp17", nodes: [node({ vhid: 7 })], addresses })],
      };
    case "groups":
      return [{ name: "www", carpDemoteCount: 0, interfaces: ["carp17"] }];
    case "demotion":
      return { counter: 5, written: 0, reasons: [{ reason: "disk", by: 5 }], faults: [] };
    default:
      return {};
  }
});
after(() => engine.close());

/** Completes as ourselves, and otherwise only says how it was called. */
const bin = join(directory, "bin");
mkdirSync(bin);
writeFileSync(
  join(bin, "carpctl"),
  `#!/bin/sh
name=\${0##*/}
[ "$1" != complete ] || exec ${join(directory, "real")}/$name "$@"
echo "RAN: $name $*"
`,
);
chmodSync(join(bin, "carpctl"), 0o755);
mkdirSync(join(directory, "real"));
for (const name of ["carpctl", "carpd", "ifstated"]) symlinkSync(CARPCTL, join(directory, "real", name));
for (const link of ["carpd", "ifstated", "netstart"]) symlinkSync("carpctl", join(bin, link));

const TYPED: readonly (readonly [typed: string, ran: string])[] = [
  ["carpctl maint<Tab>", "carpctl maintenance"],
  ["carpctl carp1<Tab>", "carpctl carp17"],
  ["carpctl carp0 10.0.0.1 bro<Tab> 10.0.0.255", "carpctl carp0 10.0.0.1 broadcast 10.0.0.255"],
  ["carpctl carp0 balancing ip-s<Tab>", "carpctl carp0 balancing ip-stealth"],
  ["carpctl carp0 vhid 1 -carppeer6 -al<Tab>", "carpctl carp0 vhid 1 -carppeer6 -alias"],
  ["carpctl carp0 carppeer 10.0.0.2,localh<Tab>", "carpctl carp0 carppeer 10.0.0.2,localhost"],
  ["carpctl carp17 -alias 2001:db8:<Tab>", "carpctl carp17 -alias 2001:db8::7"],
  ["carpctl -g w<Tab> -carpd<Tab> 3", "carpctl -g www -carpdemote 3"],
  ["carpctl --run<Tab> /run/x status", "carpctl --run-dir /run/x status"],
  ["carpctl sysctl -n net.inet.carp.al<Tab>", "carpctl sysctl -n net.inet.carp.allow"],
  ["carpctl promote di<Tab>", "carpctl promote disk"],
  ["carpctl engine --log=sys<Tab>", "carpctl engine --log=syslog"],
  ["carpctl netstat -I carp17 -p ca<Tab>", "carpctl netstat -I carp17 -p carp"],
  ["carpctl help variab<Tab>", "carpctl help variables"],
  ["carpctl help no-carr<Tab>", "carpctl help no-carrier"],
  [`carpctl carp0 passfile ${directory}/sec<Tab>`, `carpctl carp0 passfile ${directory}/secret`],
  [
    `carpctl check a=${directory}/sec<Tab> b=${directory}/bi<Tab>`,
    `carpctl check a=${directory}/secret b=${directory}/bin`,
  ],
  [`carpctl --etc-dir ${directory}/bi<Tab>`, `carpctl --etc-dir ${directory}/bin`],
  ["carpd --log st<Tab>", "carpd --log stderr"],
  [`ifstated -n -f ${directory}/sec<Tab>`, `ifstated -n -f ${directory}/secret`],
];

/** The way each shell is told of the completions, and started. */
const SHELLS: Readonly<
  Record<string, { readonly files: Readonly<Record<string, string>>; readonly words: string[] }>
> = {
  bash: {
    files: {
      bashrc: `PS1='READY> '\nbind 'set enable-bracketed-paste off'\n. ${completions}/carpctl.bash\n`,
    },
    words: ["--rcfile", join(directory, "bash/bashrc"), "-i"],
  },
  zsh: {
    files: {
      ".zshrc": `PS1='READY> '\nunset zle_bracketed_paste\nfpath=(${completions} $fpath)\nautoload -Uz compinit\ncompinit -u\n`,
    },
    words: ["-i"],
  },
  fish: {
    files: {
      // Without this it reads all manual pages first, in a process that outlives it.
      "fish/generated_completions/none.fish": "",
      // It knows no host of /etc/hosts that is this machine.
      ".ssh/known_hosts": "localhost ssh-ed25519 AAAA\n",
      "fish/config.fish": `function fish_prompt; echo -n 'READY> '; end\nset -g fish_greeting\nset fish_complete_path ${completions} $fish_complete_path\n`,
    },
    words: ["-i"],
  },
};

describe("typed with the tabulator", { concurrency: true }, () => {
  for (const [shell, { files, words }] of Object.entries(SHELLS))
    test(`in ${shell}`, async () => {
      const home = join(directory, shell);
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(join(home, name, ".."), { recursive: true });
        writeFileSync(join(home, name), text);
      }
      const terminal = join(import.meta.dirname, "terminal.py");
      const { stdout } = await execa("python3", [terminal, shell, ...words], {
        input: TYPED.map(([typed]) => `${typed}\n`).join(""),
        env: {
          PATH: `${bin}:/usr/bin:/bin`,
          HOME: home,
          ZDOTDIR: home,
          XDG_CONFIG_HOME: home,
          XDG_DATA_HOME: home,
          LC_ALL: "C.UTF-8",
          CARP_RUN_DIR: engine.runDir,
        },
        extendEnv: false,
      });
      assert.deepEqual(
        // zsh takes the slash away again when the line ends.
        stdout.split("\n").map((line) => line.replace(/\/$/, "")),
        TYPED.map(([, ran]) => ran),
      );
    });
});
