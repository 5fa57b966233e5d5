/** Questions to a link who has an address, and the answers to them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { neighbourQuestion, parseNeighbourAnswer } from "../../../src/protocol/neighbour-question.ts";
import { forge } from "../../hosts/index.ts";

const MAC = "02:00:00:00:01:02";
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

describe("a question", () => {
  test("over IPv4 is a broadcast request from the host's own address, or a probe without one", () => {
    const question = { mac: MAC, source: "10.0.0.2", target: "10.0.0.1" };
    const request = forge.arpRequest({ target: "10.0.0.1", address: "10.0.0.2", mac: MAC });
    assert.equal(hex(neighbourQuestion(question)), hex(request));
    const probe = forge.arpRequest({ target: "10.0.0.1", address: "0.0.0.0", mac: MAC });
    assert.equal(hex(neighbourQuestion({ ...question, source: undefined })), hex(probe));
  });

  test("over IPv6 goes to the solicited-node group, and is not asked without an address", () => {
    const question = { mac: MAC, source: "fe80::2", target: "2001:db8::12:3456" };
    const frame = Buffer.from(neighbourQuestion(question) ?? []);
    assert.equal(hex(frame.subarray(0, 12)), "3333ff123456020000000102");
    assert.equal(hex(frame.subarray(38, 54)), "ff0200000000000000000001ff123456");
    assert.equal(frame[54], 135);
    assert.equal(
      hex(frame.subarray(62)),
      "20010db800000000000000000012345601010200000001 02".replace(" ", ""),
    );
    assert.equal(neighbourQuestion({ ...question, source: undefined }), undefined);
  });

  test("is not asked from an address of the other family", () => {
    assert.throws(() => neighbourQuestion({ mac: MAC, source: "fe80::2", target: "10.0.0.1" }), TypeError);
  });
});

describe("an answer", () => {
  const reply = () => {
    const frame = forge.arpRequest({ target: "10.0.0.2", address: "10.0.0.1", mac: MAC });
    frame[21] = 2;
    return frame;
  };
  /** A neighbour advertisement of a target, with these options. */
  const advertisement = (options: string) => {
    const frame = forge.neighbourSolicitation({ target: "2001:db8::1", address: "fe80::9", mac: MAC });
    frame[54] = 136;
    const whole = Buffer.concat([frame.subarray(0, 54 + 24), Buffer.from(options, "hex")]);
    whole.writeUInt16BE(24 + options.length / 2, 18);
    return whole;
  };

  test("over IPv4 is a reply, and no request", () => {
    assert.deepEqual(parseNeighbourAnswer(reply()), {
      ...{ address: "10.0.0.1", mac: MAC },
      to: "ff:ff:ff:ff:ff:ff",
    });
    assert.equal(
      parseNeighbourAnswer(forge.arpRequest({ target: "10.0.0.2", address: "10.0.0.1", mac: MAC })),
      undefined,
    );
  });

  test("over IPv6 names the MAC in its option, else in its frame", () => {
    const address = "2001:db8::1";
    const to = "33:33:00:00:00:01";
    assert.deepEqual(parseNeighbourAnswer(advertisement("020100005e000101")), {
      ...{ address, to },
      mac: "00:00:5e:00:01:01",
    });
    assert.deepEqual(parseNeighbourAnswer(advertisement("")), { address, mac: MAC, to });
  });

  test("that is cut or garbled is none", () => {
    for (const whole of [reply(), advertisement("020100005e000101")])
      for (let length = 0; length < whole.length; length++)
        assert.equal(parseNeighbourAnswer(whole.subarray(0, length)), undefined, `${length}`);
    assert.equal(parseNeighbourAnswer(advertisement("0200000000000000")), undefined);
  });

  test("is read from any bytes without an exception", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0x0806, 0x86dd), (payload, type) => {
        const frame = Buffer.concat([Buffer.alloc(14), payload]);
        frame.writeUInt16BE(type, 12);
        parseNeighbourAnswer(frame);
        const garbled = type === 0x0806 ? reply() : advertisement("020100005e000101");
        garbled.set(payload.subarray(0, 20), 16);
        parseNeighbourAnswer(garbled);
      }),
    ));
});
