import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { cropInto } from '../../src/dataset/augment.js';
import { ContentCache, entryBytes } from '../../src/dataset/contentCache.js';
import { freeBytes, requireDiskSpace } from '../../src/dataset/diskSpace.js';
import { ThawError } from '../../src/protocol/errors.js';
import { filesBelow } from '../../src/storage/filesBelow.js';

let folder: string;
beforeEach(async () => { folder = await mkdtemp(path.join(tmpdir(), 'thaw-cache-')); });
afterEach(() => rm(folder, { recursive: true, force: true }));

const LARGE = 1e9;

async function files(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of filesBelow(folder)) found.push(path.join(folder, name));
  return found.sort();
}

function bytesOf(seed: number, length = 1000): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (seed * 31 + index * 7) % 256);
}

describe('ContentCache', () => {
  test('gives back what was kept, by kind and key, also to another process', async () => {
    const cache = new ContentCache({ folder, capBytes: LARGE });
    await cache.write('pixels', 'a', bytesOf(1));
    await cache.write('features', 'a', bytesOf(2));
    await cache.write('pixels', '../../escape', bytesOf(3));
    const other = new ContentCache({ folder, capBytes: LARGE });
    assert.deepEqual(Uint8Array.from((await other.read('pixels', 'a')) ?? []), bytesOf(1));
    assert.deepEqual(Uint8Array.from((await other.read('features', 'a')) ?? []), bytesOf(2));
    assert.deepEqual(Uint8Array.from((await other.read('pixels', '../../escape')) ?? []), bytesOf(3));
    assert.equal(await other.read('features', 'b'), undefined);
    assert.equal(await other.has('pixels', 'a'), true);
    assert.equal(await other.has('pixels', 'b'), false);
    assert.equal((await files()).length, 3);
    assert.equal(await other.size(), 3 * entryBytes(1000));
  });

  for (const [name, damage] of [
    ['a changed byte', (bytes: Buffer) => { bytes[500] = (bytes[500] ?? 0) ^ 1; return bytes; }],
    ['a cut end', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['a tail', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from([0])])],
    ['nothing', () => Buffer.alloc(0)],
    ['zeros, as after a power cut', (bytes: Buffer) => Buffer.alloc(bytes.length)],
    ['another magic', (bytes: Buffer) => { bytes[0] = 0; return bytes; }],
  ] as const) {
    test(`an entry with ${name} counts as absent and is removed`, async () => {
      const cache = new ContentCache({ folder, capBytes: LARGE });
      for (const read of [async () => cache.read('features', 'key'), async () => (await cache.readMany('features', ['key']))[0]]) {
        await cache.write('features', 'key', bytesOf(1));
        const [file] = await files();
        await writeFile(file!, damage(await readFile(file!)));
        assert.equal(await read(), undefined);
        assert.deepEqual(await files(), []);
        await cache.write('features', 'key', bytesOf(1));
        assert.equal((await read())?.length, 1000);
      }
    });
  }

  test('reads many in order, and knows what is missing', async () => {
    const cache = new ContentCache({ folder, capBytes: LARGE });
    for (let index = 0; index < 150; index += 3) await cache.write('features', `key ${index}`, bytesOf(index, 40));
    const keys = Array.from({ length: 150 }, (_, index) => `key ${index}`);
    const entries = await cache.readMany('features', keys);
    assert.deepEqual(entries.map((entry) => entry && Uint8Array.from(entry)), keys.map((_, index) => (index % 3 === 0 ? bytesOf(index, 40) : undefined)));
    assert.equal(await cache.missingBytes('features', [...keys, ...keys], 40), 100 * entryBytes(40));
    assert.equal(await new ContentCache({ folder, capBytes: 500 }).missingBytes('features', keys, 40), 500);
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (const file of await files()) await utimes(file, old, old);
    await cache.readMany('features', keys.slice(0, 10));
    const renewed = (await Promise.all((await files()).map(async (file) => (await stat(file)).mtimeMs))).filter((time) => time > old.getTime() + 1000);
    assert.equal(renewed.length, 4);
  });

  test('trims the least recently used first, and reading renews', async () => {
    const cache = new ContentCache({ folder, capBytes: LARGE });
    for (let index = 0; index < 10; index++) {
      await cache.write(index % 2 === 0 ? 'pixels' : 'features', `key ${index}`, bytesOf(index));
      const old = new Date(Date.now() - (100 - index) * 3_600_000);
      const all = await files();
      const newest = (await Promise.all(all.map(async (file) => ({ file, time: (await stat(file)).mtimeMs })))).sort((a, b) => b.time - a.time)[0]!;
      await utimes(newest.file, old, old);
    }
    assert.ok(await cache.read('pixels', 'key 0')); // the oldest, renewed
    const small = new ContentCache({ folder, capBytes: 5 * entryBytes(1000) });
    await small.trim();
    const left: number[] = [];
    for (let index = 0; index < 10; index++) if (await small.has(index % 2 === 0 ? 'pixels' : 'features', `key ${index}`)) left.push(index);
    assert.deepEqual(left, [0, 7, 8, 9]); // 90 % of the cap
    await small.trim();
    assert.equal(await small.size(), 4 * entryBytes(1000));
  });

  test('never grows far above its cap, and data larger than the cap don\'t push themselves out', async () => {
    const cap = 10.5 * entryBytes(1000);
    for (let process = 0; process < 2; process++) { // each as a process of its own
      const cache = new ContentCache({ folder, capBytes: cap });
      for (let index = 0; index < 14; index++) await cache.write('pixels', `${process} ${index}`, bytesOf(index));
      await cache.trim();
      assert.ok(await cache.size() <= cap);
      assert.equal(await cache.has('pixels', `${process} 8`), true);
      assert.equal(await cache.has('pixels', `${process} 13`), false);
    }
  });

  test('two processes at once', async () => {
    const caches = [new ContentCache({ folder, capBytes: LARGE }), new ContentCache({ folder, capBytes: LARGE })];
    await Promise.all(caches.flatMap((cache) => Array.from({ length: 50 }, (_, index) => cache.write('pixels', `key ${index % 10}`, bytesOf(index % 10)))));
    for (let index = 0; index < 10; index++) assert.deepEqual(Uint8Array.from((await caches[0]!.read('pixels', `key ${index}`)) ?? []), bytesOf(index));
    assert.equal((await files()).length, 10);
    await caches[0]!.clear();
    assert.deepEqual(await files(), []);
    await caches[1]!.write('pixels', 'after', bytesOf(1)); // its folders are gone
    assert.equal(await caches[1]!.has('pixels', 'after'), true);
  });

  test('what an interrupted writer left is swept when it is old, and never read', async () => {
    const cache = new ContentCache({ folder, capBytes: LARGE });
    await cache.write('pixels', 'a', bytesOf(1));
    const [entry] = await files();
    const left = path.join(path.dirname(entry!), '.tmp-0123');
    await writeFile(left, 'half');
    await cache.trim();
    assert.equal((await files()).length, 2);
    const old = new Date(Date.now() - 2 * 3_600_000);
    await utimes(left, old, old);
    await cache.trim();
    assert.deepEqual(await files(), [entry]);
  });

  test('an empty or missing cache is no error', async () => {
    const cache = new ContentCache({ folder: path.join(folder, 'missing'), capBytes: LARGE });
    assert.equal(await cache.read('pixels', 'a'), undefined);
    assert.equal(await cache.size(), 0);
    await cache.trim();
    await cache.clear();
  });
});

describe('disk space', () => {
  test('a run that won\'t fit is refused with both numbers', async () => {
    const free = await freeBytes(path.join(folder, 'not', 'there', 'yet'));
    assert.ok(free > 0);
    await requireDiskSpace(folder, 0);
    await assert.rejects(requireDiskSpace(folder, 2 ** 60), (error) => {
      assert.ok(error instanceof ThawError);
      assert.equal(error.code, 'disk-full');
      assert.match(error.message, /needs [\d.,]+ \wiB .* [\d.,]+ \w*B are free/);
      return true;
    });
  });
});

describe('cropInto', () => {
  const stored = 5;
  const source = Uint8Array.from({ length: stored * stored * 3 }, (_, index) => index);
  const value = (x: number, y: number, c: number): number => (y * stored + x) * 3 + c;

  for (const flip of [false, true]) {
    test(`cuts a square out${flip ? ', mirrored' : ''}`, () => {
      const [size, top, left] = [3, 1, 2];
      const target = new Uint8Array(100).fill(255);
      cropInto(target, 10, source, { stored, size, top, left, flip });
      for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) for (let c = 0; c < 3; c++) {
        assert.equal(target[10 + (y * size + x) * 3 + c], value(left + (flip ? size - 1 - x : x), top + y, c));
      }
      assert.ok(target.subarray(0, 10).every((byte) => byte === 255));
      assert.ok(target.subarray(10 + size * size * 3).every((byte) => byte === 255));
    });
  }

  test('refuses what lies outside', () => {
    const target = new Uint8Array(27);
    for (const [top, left, offset] of [[3, 0, 0], [0, -1, 0], [0.5, 0, 0], [0, 0, 1]] as const) {
      assert.throws(() => cropInto(target, offset, source, { stored, size: 3, top, left, flip: false }), RangeError);
    }
  });
});
