/** The text of a log line, whatever the log. */

export const FACILITY_DAEMON = 3;
/** A syslog message of RFC 3164 is at most 1024 bytes; this leaves room for the header. */
const MAX_TEXT_BYTES = 960;

/** Makes text one line, without control characters, short enough for every log. */
export function oneLine(text: string): string {
  // C0, DEL, C1, and the separators that some viewers break lines at.
  const line = text.trimEnd().replaceAll(/[\p{Cc}\u2028\u2029]/gu, "?");
  const bytes = Buffer.from(line);
  if (bytes.length <= MAX_TEXT_BYTES) return line;
  // A character that the cut went through decodes to U+FFFD.
  return `${bytes
    .subarray(0, MAX_TEXT_BYTES - 3)
    .toString()
    .replace(/\uFFFD+$/u, "")}...`;
}
