/** Runs an ifconfig form: sends it to the engine as one message and prints the answer. */

import type { Connection } from "../../control/client.ts";
import { printable } from "../../control/printable.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { type Form, USAGE } from "../grammar/ifconfig/forms.ts";
import { suggestion } from "../grammar/suggestion.ts";
import { VERB_NAMES } from "../grammar/verbs.ts";
import { hasDevice } from "../network-device.ts";
import { done, json, jsonText, misused, type Outcome, refused } from "../outcome.ts";
import { showGroup, showInterfaces } from "./show.ts";

export async function runForm(form: Form, context: CommandContext): Promise<Outcome> {
  switch (form.kind) {
    case "misused":
      return misused(USAGE, form.message);
    case "cloners":
      return context.options.json ? json(["carp"]) : done("carp\n");
    case "change":
      return withEngine(context, (engine) => change(engine, form));
    case "change-on":
      return withEngine(context, (engine) => changeOn(engine, form, context.options.json));
    default:
      return withEngine(context, (engine) => runWith(engine, form, context.options.json));
  }
}

type FormOf<K extends Form["kind"]> = Extract<Form, { kind: K }>;

async function runWith(
  engine: Connection,
  form: FormOf<"show" | "group" | "demote-group" | "create" | "destroy">,
  asJson: boolean,
): Promise<Outcome> {
  switch (form.kind) {
    case "show":
      return (await showInterfaces(engine, form.name, asJson)) ?? refused(nothingNamed(form.name ?? ""));
    case "group":
      return (
        (await showGroup(engine, form.group, asJson)) ??
        refused(`group ${printable(form.group)}: no such group`)
      );
    case "demote-group":
      await engine.call("demote-group", { group: form.group, by: form.by });
      return done();
    case "create": {
      const created = await engine.call("create", form.name === undefined ? {} : { name: form.name });
      if (asJson) return json(created);
      return done(form.name === undefined ? `${created.name}\n` : "");
    }
    case "destroy":
      await engine.call("destroy", { name: form.name });
      return done();
  }
}

async function change(
  engine: Connection,
  { name, change, create, warnings }: FormOf<"change">,
): Promise<Outcome> {
  const { checkParams } = await import("../../control/messages.ts");
  const checked = checkParams("change", { name, change, ...(create && { create }) });
  if ("refusal" in checked) return refused(checked.refusal);
  await engine.call("change", checked.params);
  return done("", warnings);
}

async function changeOn(
  engine: Connection,
  { carpdev, change, warnings }: FormOf<"change-on">,
  asJson: boolean,
): Promise<Outcome> {
  const { checkParams } = await import("../../control/messages.ts");
  const checked = checkParams("change-on", { carpdev, change });
  if ("refusal" in checked) return refused(checked.refusal);
  const changed = await engine.call("change-on", checked.params);
  return done(asJson ? jsonText(changed) : "", warnings);
}

function nothingNamed(name: string): string {
  const shown = printable(name);
  return hasDevice(name)
    ? `${shown}: there is no carp interface on it (carpctl ${shown} vhid N ADDRESS/LENGTH ... makes one)`
    : `${shown}: no such interface${suggestion(name, VERB_NAMES)}`;
}
