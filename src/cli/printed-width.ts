/**
 * How wide a text is on a terminal. What we print in columns has no wide characters. The bundle gives this to yargs and
 * table in the place of the library string-width, whose tables of emoji take 20 ms of every start.
 */

import { stripVTControlCharacters } from "node:util";

export default function printedWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}
