/** Makes the one visit that its JSON argument asks for, and prints what it sees. */

import { visit } from "./data-path-visit.ts";

export type { Seen, Visit } from "./data-path-visit.ts";

process.stdout.write(`${JSON.stringify(visit(JSON.parse(process.argv[2] ?? "{}")))}\n`);
