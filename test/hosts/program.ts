/** The program that the tests start: the tree's, or the one that the variable CARPCTL names, such as dist/carpctl. */

import { join, resolve } from "node:path";

export const CARPCTL = resolve(process.env.CARPCTL || join(import.meta.dirname, "../../bin/carpctl"));
