/** The reason why an input is refused, as a value. */

export interface Refusal {
  readonly refusal: string;
}

export function refuse(refusal: string): Refusal {
  return { refusal };
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "refusal" in value;
}
