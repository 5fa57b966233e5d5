/**
 * Preloaded (`node --import`) into a simulation: replaces one export of src by the mutation that
 * CARPCTL_SIM_MUTATION names, for every module that imports it. Reads and changes no source text.
 */

import { registerHooks } from "node:module";
import { MUTATIONS } from "./mutations.ts";

const name = process.env.CARPCTL_SIM_MUTATION;
const mutation = MUTATIONS.find((each) => each.name === name);
if (mutation === undefined) throw new Error(`CARPCTL_SIM_MUTATION=${name}: no such mutation`);

const target = new URL(`../../src/${mutation.module}`, import.meta.url).href;
const ORIGINAL = "?original";
const MUTATED = "?mutated";

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    return resolved.url === target ? { ...resolved, url: `${target}${MUTATED}` } : resolved;
  },
  load(url, context, nextLoad) {
    if (url !== `${target}${MUTATED}`) return nextLoad(url, context);
    const mutations = new URL("./mutations.ts", import.meta.url).href;
    const source = `
      import * as original from ${JSON.stringify(`${target}${ORIGINAL}`)};
      import { MUTATIONS } from ${JSON.stringify(mutations)};
      export * from ${JSON.stringify(`${target}${ORIGINAL}`)};
      const { replace } = MUTATIONS.find(({ name }) => name === ${JSON.stringify(name)});
      export const ${mutation.replaces} = replace(original.${mutation.replaces}, original);
    `;
    return { format: "module", source, shortCircuit: true };
  },
});
