/**
 * `node test/soak/attack.ts [--minutes N] [--attacks A,B]`: every attack of users without rights at once, and what
 * root, the peers and the log notice. Prints figures.
 */

import { parseArgs } from "node:util";
import { AttackedHost, report } from "../net/attack.ts";
import { ALL_ATTACKS, type Attack } from "../net/attackers.ts";

const { values } = parseArgs({ options: { minutes: { type: "string" }, attacks: { type: "string" } } });
const minutes = Number(values.minutes ?? 10);
const attacks = (values.attacks?.split(",") ?? ALL_ATTACKS) as Attack[];
const unknown = attacks.filter((each) => each !== ("" as string) && !ALL_ATTACKS.includes(each));
if (!(minutes > 0) || unknown.length > 0) {
  console.error(`attack: --minutes must be greater than 0, --attacks some of ${ALL_ATTACKS.join(",")}`);
  process.exit(2);
}
const attacked = await AttackedHost.create();
try {
  console.log(`quiet:\n${report(await attacked.endure([], 20))}\nunder attack by ${attacks.join(", ")}:`);
  const kinds = attacks.filter((each) => ALL_ATTACKS.includes(each));
  console.log(report(await attacked.endure(kinds, minutes * 60, (line) => console.log(line))));
} finally {
  await attacked.destroy();
}
