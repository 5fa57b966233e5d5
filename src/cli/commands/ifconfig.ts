/** Runs an ifconfig form: sends it to the engine as one message and prints the answer. */

import type { Connection } from "../../control/client.ts";
import type { GroupView, InterfaceView } from "../../control/messages.ts";
import { printable } from "../../control/printable.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { type Form, USAGE } from "../grammar/ifconfig/forms.ts";
import { suggestion } from "../grammar/suggestion.ts";
import { VERB_NAMES } from "../grammar/verbs.ts";
import { hasDevice } from "../network-device.ts";
import { done, json, jsonText, misused, type Outcome, refused } from "../outcome.ts";
import { groupText, interfaceText } from "../show/ifconfig.ts";
import { groupJson, interfaceJson } from "../show/json.ts";

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
      return show(engine, form.name, asJson);
    case "group":
      return showGroup(engine, form.group, asJson);
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

async function show(engine: Connection, name: string | undefined, asJson: boolean): Promise<Outcome> {
  const { views, nowUs } = await interfaces(engine);
  const wanted = name === undefined ? views : await named(engine, views, name);
  if (wanted === undefined) return refused(nothingNamed(name ?? ""));
  if (asJson) {
    const packets = await engine.call("packets", {});
    return json({ interfaces: wanted.map((view) => interfaceJson(view, nowUs, packets)) });
  }
  return done(wanted.map(interfaceText).join(""));
}

function nothingNamed(name: string): string {
  const shown = printable(name);
  return hasDevice(name)
    ? `${shown}: there is no carp interface on it (carpctl ${shown} vhid N ADDRESS/LENGTH ... makes one)`
    : `${shown}: no such interface${suggestion(name, VERB_NAMES)}`;
}

/** The interface of that name, the members of the group of that name, or the interfaces on that carpdev. */
async function named(
  engine: Connection,
  views: readonly InterfaceView[],
  name: string,
): Promise<readonly InterfaceView[] | undefined> {
  const own = views.filter((view) => view.name === name);
  if (own.length > 0) return own;
  const group = await groupNamed(engine, name);
  if (group !== undefined) return views.filter((view) => group.interfaces.includes(view.name));
  const on = views.filter((view) => view.carpdev === name);
  return on.length > 0 ? on : undefined;
}

async function showGroup(engine: Connection, name: string, asJson: boolean): Promise<Outcome> {
  const group = await groupNamed(engine, name);
  if (group === undefined) return refused(`group ${printable(name)}: no such group`);
  return asJson ? json({ groups: [groupJson(group)] }) : done(groupText(group));
}

async function groupNamed(engine: Connection, name: string): Promise<GroupView | undefined> {
  return (await engine.call("groups", {})).find((group) => group.name === name);
}

async function interfaces(
  engine: Connection,
): Promise<{ readonly views: readonly InterfaceView[]; readonly nowUs: number }> {
  const { interfaces: views, nowUs } = await engine.call("interfaces", {});
  return { views, nowUs };
}
