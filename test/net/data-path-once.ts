/**
 * Makes one visit to a data path, given as JSON in the argument, and prints the result. See
 * data-path-visit.ts.
 */

import { visit } from "./data-path-visit.ts";

export type { Seen, Visit } from "./data-path-visit.ts";

process.stdout.write(`${JSON.stringify(visit(JSON.parse(process.argv[2] ?? "{}")))}\n`);
