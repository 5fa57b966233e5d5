/**
 * The width of a text on a terminal; text printed in columns here has no wide characters. The bundle gives
 * this to yargs in place of the library string-width, whose tables of emoji take 20 ms of every
 * start.
 */

import { stripVTControlCharacters } from "node:util";

export default function printedWidth(text: string): number {
  // Most texts have no sequence to look for.
  const isPlain = !text.includes("\x1b") && !text.includes("\x9b");
  return isPlain ? text.length : stripVTControlCharacters(text).length;
}
