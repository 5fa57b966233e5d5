/**
 * Serves visits to the data path on the Unix socket that is its argument: a line of JSON with the visit, a
 * line with the result. A process for each visit would take most of a test's time. See data-path-visit.ts.
 */

import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { visit } from "./data-path-visit.ts";

function answer(line: string): object {
  try {
    return visit(JSON.parse(line));
  } catch (error) {
    return { failed: String(error) };
  }
}

const server = createServer((guest) => {
  createInterface(guest).once("line", (line) => guest.end(`${JSON.stringify(answer(line))}\n`));
});
server.listen(process.argv[2], () => console.log("open"));
