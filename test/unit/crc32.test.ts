import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, slowCrc32 } from '../../src/storage/crc32.js';

/** ASCII → CRC-32. The first is the standard check value, the others Python's zlib.crc32. */
const PUBLISHED: readonly (readonly [string, number])[] = [['123456789', 0xcbf43926], ['', 0], ['The quick brown fox jumps over the lazy dog', 0x414fa339]];

describe('CRC-32', () => {
  for (const [name, sum] of [['of this Node', crc32], ['of a Node that has none', slowCrc32]] as const) {
    test(`${name} is the published one, whole and in parts`, () => {
      for (const [text, value] of PUBLISHED) {
        const bytes = Buffer.from(text);
        assert.equal(sum(bytes), value, text);
        for (const at of [0, 1, 5, bytes.length]) assert.equal(sum(bytes.subarray(at), sum(bytes.subarray(0, at))), value, `${text} in two parts at ${at}`);
      }
      const long = Uint8Array.from({ length: 100_003 }, (_, index) => (index * 7 + (index >> 8)) % 256);
      assert.equal(sum(long), 0x0b697026);
    });
  }
});
