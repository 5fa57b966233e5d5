/**
 * Asks the hosts on a link who has an address, and gathers all answers: the kernel's own neighbour table keeps one of
 * several, and does not ask for an address of this host. It harms nobody: what the others learn is this host's own
 * address and MAC, and a switch where the virtual MAC is that a MASTER has anyway.
 */

import { setTimeout as sleep } from "node:timers/promises";
import {
  type NeighbourAnswer,
  type NeighbourQuestion,
  neighbourQuestion,
  parseNeighbourAnswer,
} from "../../protocol/neighbour-question.ts";
import { nativeNeighbourSocket } from "./native-neighbour-socket.ts";

/** Asked so often, because a question or answer may be lost, with so long for the answers to each. */
const TIMES = 2;
const PATIENCE_MS = 150;
/** The most questions that are asked, and answers that are read: any host can send more. */
const MOST_QUESTIONS = 64;
const MOST_ANSWERS = 1024;

/** What is being asked, by the index of the link: those who ask at the same time share the answers. */
const underWay = new Map<number, Promise<NeighbourAnswer[]>>();

/** @returns each answer once; none where this process may not ask */
export function askLink(index: number, questions: readonly NeighbourQuestion[]): Promise<NeighbourAnswer[]> {
  const asking = underWay.get(index) ?? ask(index, questions).finally(() => underWay.delete(index));
  underWay.set(index, asking);
  return asking;
}

async function ask(index: number, questions: readonly NeighbourQuestion[]): Promise<NeighbourAnswer[]> {
  const frames = questions.slice(0, MOST_QUESTIONS).flatMap((each) => neighbourQuestion(each) ?? []);
  if (frames.length === 0) return [];
  const socket = new nativeNeighbourSocket.NeighbourSocket();
  if (socket.open(index) !== 0) return [];
  const asked = new Set(questions.map(({ target }) => target));
  const askers = new Set(questions.map(({ mac }) => mac));
  const answers = new Map<string, NeighbourAnswer>();
  try {
    for (let n = 0; n < TIMES; n++) {
      for (const frame of frames) socket.send(frame);
      await sleep(PATIENCE_MS);
      for (let read = 0; read < MOST_ANSWERS; read++) {
        const frame = socket.receive();
        if (frame === undefined) break;
        const answer = parseNeighbourAnswer(frame);
        if (answer === undefined || !asked.has(answer.address)) continue;
        // Flooded by a switch, an answer to another host may arrive too.
        if (askers.has(answer.to) || isGroup(answer.to))
          answers.set(`${answer.address} ${answer.mac} ${answer.to}`, answer);
      }
    }
  } finally {
    socket.close();
  }
  return [...answers.values()];
}

function isGroup(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}
