/**
 * Makes a visit to the data path for whoever connects to the socket that is its argument and says there, in a line of
 * JSON, which; the answer is another. To start a process for each visit would take a test most of its time.
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
