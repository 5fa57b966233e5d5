/** Alert rules and dashboard: promtool accepts and tries the rules, and both name metrics and labels that exist. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FAMILIES, type Family } from "../../../src/engine/metrics/families.ts";
import { promtool } from "../promtool.ts";

const tree = join(import.meta.dirname, "../../..");
const RULES = join(tree, "src/install/prometheus/carp.rules.yml");
const DASHBOARD = join(tree, "src/install/grafana/carp.json");

/** Labels that Prometheus adds, and one of histograms. */
const ADDED = ["job", "instance", "le"];

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly description: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly Target[];
  }[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

const dashboard = JSON.parse(readFileSync(DASHBOARD, "utf8")) as Dashboard;
const targets = dashboard.panels.flatMap((panel) => panel.targets);

/** The metric of the table that a name in an expression means; histograms have three. */
function familyOf(name: string): Family | undefined {
  const families: Readonly<Record<string, Family>> = FAMILIES;
  const histogram = families[name.replace(/_(bucket|sum|count)$/, "")];
  return families[name] ?? (histogram?.type === "histogram" ? histogram : undefined);
}

function namesIn(text: string): string[] {
  return text.match(/\bcarp_[a-z_]+/g) ?? [];
}

/** Every metric in an expression exists, and has the labels that are asked for. */
function assertKnown(expression: string): void {
  const names = namesIn(expression);
  for (const name of names) assert.ok(familyOf(name), `${name} in ${expression}`);
  for (const [, name = "", matchers = ""] of expression.matchAll(/\b(carp_[a-z_]+)\{([^}]*)\}/g))
    for (const [, label = ""] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      assert.ok([...ADDED, ...(familyOf(name)?.labels ?? [])].includes(label), `${label} of ${name}`);
  const known = [...ADDED, ...names.flatMap((name) => familyOf(name)?.labels ?? [])];
  for (const [, list = ""] of expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
    for (const label of list.split(/, */)) assert.ok(known.includes(label), `${label} in ${expression}`);
}

/** The expressions of the rules, also those over several lines. */
function ruleExpressions(): string[] {
  const rules = readFileSync(RULES, "utf8")
    .split(/^ {6}- alert: /m)
    .slice(1);
  return rules.map((rule) => {
    const [, expression = ""] = /^ {8}expr: (?:>-)?((?:.*\n)(?: {10}.*\n)*)/m.exec(rule) ?? [];
    return expression.replaceAll(/\s+/g, " ").trim();
  });
}

test("promtool accepts the alert rules", () => {
  const { status, output } = promtool(["check", "rules", RULES]);
  assert.equal(status, 0, output);
});

test("each alert fires when it should, and not for what is usual", () => {
  const tests = join(import.meta.dirname, "carp.rules.test.yml");
  const { status, output } = promtool(["test", "rules", tests]);
  assert.equal(status, 0, output);
  const text = readFileSync(tests, "utf8");
  const alerts = [...readFileSync(RULES, "utf8").matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name);
  assert.ok(alerts.length >= 10);
  for (const alert of alerts) {
    assert.match(
      text,
      new RegExp(`alertname: ${alert}\\n.*\\n +exp_alerts`),
      `${alert} is never seen to fire`,
    );
    assert.ok(text.includes(`{ alertname: ${alert}, `), `${alert} is never seen to be quiet`);
  }
});

test("the alert rules name metrics and labels that exist", () => {
  const expressions = ruleExpressions();
  assert.ok(expressions.length >= 10);
  for (const expression of expressions) assertKnown(expression);
});

test("the dashboard names metrics and labels that exist", () => {
  assert.ok(targets.length >= 15);
  for (const { expr } of targets) {
    assert.notEqual(namesIn(expr).length, 0, expr);
    assertKnown(expr);
  }
  for (const { definition } of dashboard.templating.list)
    if (definition !== undefined) assertKnown(definition.replace(/^label_values\((.*), \w+\)$/, "$1"));
});

test("the dashboard's legends have labels of their metrics, and its variables exist", () => {
  const variables = [...dashboard.templating.list.map(({ name }) => name), "__rate_interval"];
  for (const { expr, legendFormat } of targets) {
    const labels = [...ADDED, ...namesIn(expr).flatMap((name) => familyOf(name)?.labels ?? [])];
    for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      assert.ok(labels.includes(label), `${label} in the legend of ${expr}`);
    for (const [, variable = ""] of expr.matchAll(/\$(\w+)/g)) assert.ok(variables.includes(variable), expr);
  }
});

test("the dashboard's queries are PromQL", () => {
  const rules = targets.map(({ expr }, at) => ({
    record: `carp:panel${at}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$\w+/g, ".*"),
  }));
  const directory = mkdtempSync(join(tmpdir(), "carpctl-dashboard-"));
  const path = join(directory, "rules.yml");
  // JSON is YAML.
  writeFileSync(path, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  const { status, output } = promtool(["check", "rules", path]);
  rmSync(directory, { recursive: true });
  assert.equal(status, 0, output);
});

test("no two panels have one id or overlap, and each says what it shows", () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const [at, { title, description, gridPos: a }] of panels.entries()) {
    assert.ok(title !== "" && description !== "");
    assert.ok(a.x + a.w <= 24, title);
    for (const { gridPos: b } of panels.slice(at + 1))
      assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y, title);
  }
});
