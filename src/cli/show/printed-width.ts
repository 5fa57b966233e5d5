/**
 * The width of a text on a terminal; text printed in columns here has no wide characters. The bundle gives
 * this to yargs and table in place of the library string-width, whose tables of emoji take 20 ms of every
 * start.
 */

import { stripVTControlCharacters } from "node:util";

export default function printedWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}
