import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { assembleDataset, fingerprintOf, requireTrainable, runData, type Dataset } from '../../src/dataset/assemble.js';
import { hashImages, type ContentHash } from '../../src/dataset/hashing.js';
import { listDataset, type Listing, type SplitName } from '../../src/dataset/listing.js';
import { readDataset } from '../../src/dataset/readDataset.js';
import { ThawError } from '../../src/protocol/errors.js';
import { runRecordSchema } from '../../src/protocol/run.js';

interface Entry {
  path: string;
  class: number;
  content: string;
  split?: SplitName;
}

function hashOf(content: string, splitSeed = 0): ContentHash {
  return {
    sha256: createHash('sha256').update(content).digest('hex'),
    order: createHash('sha256').update(Buffer.concat([Buffer.from(String(splitSeed)), Buffer.from([0]), Buffer.from(content)])).digest('hex'),
  };
}

function assemble(entries: readonly Entry[], options: { classes?: string[]; unusable?: ReadonlyMap<string, string>; splitSeed?: number; unread?: string[] } = {}): Dataset {
  const classes = options.classes ?? ['ants', 'bees'];
  const listing: Listing = {
    root: '/data/insects', name: 'insects', classes, layout: entries.some((entry) => entry.split !== undefined) ? 'given' : 'split',
    images: entries.map(({ content, ...image }) => ({ ...image, bytes: content.length })), leftOut: [], warnings: [],
  };
  const hashes = new Map(entries.filter((entry) => options.unread?.includes(entry.path) !== true).map((entry) => [entry.path, hashOf(entry.content, options.splitSeed)]));
  return assembleDataset(listing, hashes, options.unusable ?? new Map(), { splitSeed: options.splitSeed ?? 0 });
}

/** Images of both classes, each of its own content. */
function insects(ants: number, bees: number): Entry[] {
  return [
    ...Array.from({ length: ants }, (_, index) => ({ path: `ants/${index}.jpg`, class: 0, content: `ant ${index}` })),
    ...Array.from({ length: bees }, (_, index) => ({ path: `bees/${index}.jpg`, class: 1, content: `bee ${index}` })),
  ];
}

function splits(dataset: Dataset): Map<string, SplitName> {
  return new Map(dataset.images.map((image) => [image.path, image.split]));
}

function fails(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

describe('the split by content', () => {
  test('is a fifth of each class, at least one', () => {
    for (const [ants, bees] of [[2, 3], [7, 8], [12, 13], [50, 101], [398, 5]] as const) {
      const { counts } = assemble(insects(ants, bees));
      assert.deepEqual(counts.map((count) => count.validation), [ants, bees].map((n) => Math.max(1, Math.round(0.2 * n))));
      assert.deepEqual(counts.map((count) => count.train + count.validation), [ants, bees]);
    }
  });

  test('takes the first by SHA-256(seed, zero byte, bytes), computed here by hand', () => {
    const entries = insects(10, 5);
    for (const splitSeed of [0, 1, 17]) {
      const expected = new Set([[0, 2], [1, 1]].flatMap(([index, take]) => entries.filter((entry) => entry.class === index)
        .map((entry) => ({ path: entry.path, order: createHash('sha256').update(`${splitSeed}\0${entry.content}`).digest('hex') }))
        .sort((a, b) => (a.order < b.order ? -1 : 1)).slice(0, take).map((entry) => entry.path)));
      const found = splits(assemble(entries, { splitSeed }));
      assert.deepEqual(new Set([...found].filter(([, split]) => split === 'validation').map(([file]) => file)), expected);
    }
    assert.notDeepEqual(splits(assemble(entries, { splitSeed: 0 })), splits(assemble(entries, { splitSeed: 17 })));
  });

  test('stays as data grow: adding images to n moves at most as many as the fifth grows or the newcomers displace', () => {
    let entries = insects(40, 40);
    let before = splits(assemble(entries));
    for (let round = 0; round < 30; round++) {
      const added = { path: `ants/new${round}.jpg`, class: 0, content: `new ant ${round}` };
      entries = [...entries, added];
      const after = splits(assemble(entries));
      const moved = [...before].filter(([file, split]) => after.get(file) !== split);
      assert.ok(moved.length <= 1, `${moved.length} moved`);
      assert.ok(moved.every(([file]) => file.startsWith('ants/')));
      before = after;
    }
  });

  test('ignores names and the order of the listing', () => {
    const entries = insects(20, 30);
    const renamed = entries.map((entry, index) => ({ ...entry, path: `${entry.path.split('/')[0] ?? ''}/renamed-${1000 - index}.png` })).reverse();
    assert.equal(assemble(renamed).fingerprint, assemble(entries).fingerprint);
  });

  test('keeps identical files on one side, whatever the copies', () => {
    // Copies of every content, one to five: any rule that forgets contents would tear some apart.
    const entries = insects(25, 25).flatMap((entry, index) => Array.from({ length: 1 + (index % 5) }, (_, copy) => ({ ...entry, path: `${entry.path}.${copy}.jpg` })));
    const dataset = assemble(entries);
    const sides = new Map<string, Set<SplitName>>();
    for (const image of dataset.images) sides.set(image.sha256, (sides.get(image.sha256) ?? new Set()).add(image.split));
    assert.equal(sides.size, 50);
    assert.ok([...sides.values()].every((side) => side.size === 1));
    const distinct = new Set(dataset.images.filter((image) => image.split === 'validation').map((image) => image.sha256));
    assert.equal(distinct.size, 10);
  });

  test('leaves out a content of two classes and names it', () => {
    const dataset = assemble([...insects(10, 10), { path: 'ants/twin.jpg', class: 0, content: 'twin' }, { path: 'bees/twin.jpg', class: 1, content: 'twin' }, { path: 'bees/copy.jpg', class: 1, content: 'twin' }]);
    assert.deepEqual(dataset.leftOut, [
      { path: 'ants/twin.jpg', reason: 'The same image is in the class "bees", as "bees/twin.jpg"' },
      { path: 'bees/copy.jpg', reason: 'The same image is in the class "ants", as "ants/twin.jpg"' },
      { path: 'bees/twin.jpg', reason: 'The same image is in the class "ants", as "ants/twin.jpg"' },
    ]);
    assert.equal(dataset.images.length, 20);
    assert.match(dataset.warnings.join(), /3 files left out: the same image is in two classes/);
    assert.equal(dataset.fingerprint, assemble(insects(10, 10)).fingerprint);
  });
});

describe('what can\'t be used', () => {
  test('is left out with its reason, its copies too, and does not count for the split', () => {
    const entries = [...insects(10, 10), { path: 'ants/bad.jpg', class: 0, content: 'bad' }, { path: 'ants/bad copy.jpg', class: 0, content: 'bad' }, { path: 'bees/locked.jpg', class: 1, content: 'locked' }];
    const dataset = assemble(entries, { unusable: new Map([['ants/bad.jpg', 'Cut short or damaged']]), unread: ['bees/locked.jpg'] });
    assert.deepEqual(dataset.leftOut, [
      { path: 'ants/bad copy.jpg', reason: 'Cut short or damaged' }, { path: 'ants/bad.jpg', reason: 'Cut short or damaged' },
      { path: 'bees/locked.jpg', reason: 'The file can\'t be read' },
    ]);
    assert.equal(dataset.fingerprint, assemble(insects(10, 10)).fingerprint);
  });

  test('may leave too little', () => {
    assert.throws(() => assemble(insects(3, 0), { classes: ['ants'] }), fails('too-few-classes', /one class folder, "ants"; at least two are needed/));
    assert.throws(() => assemble([], { classes: [] }), fails('too-few-classes', /no class folders/));
    assert.throws(() => assemble(insects(5, 1)), fails('too-few-images', /"bees" has 1 usable image; at least 2/));
    assert.throws(() => assemble(insects(5, 0)), fails('too-few-images', /"bees" has no usable image/));
    assert.throws(() => assemble(insects(2, 5), { unusable: new Map([['ants/0.jpg', 'The file is empty']]) }), fails('too-few-images', /"ants" has 1 usable image \(1 left out\)/));
    assert.throws(() => assemble([...insects(0, 5), { path: 'ants/1.jpg', class: 0, content: 'same' }, { path: 'ants/2.jpg', class: 0, content: 'same' }]),
      fails('one-content', /All 2 images of the class "ants" are copies of one image/));
  });
});

describe('a given split', () => {
  const given = (): Entry[] => [
    { path: 'train/ants/1.jpg', class: 0, content: 'ant 1', split: 'train' }, { path: 'train/bees/1.jpg', class: 1, content: 'bee 1', split: 'train' },
    { path: 'val/ants/2.jpg', class: 0, content: 'ant 2', split: 'validation' }, { path: 'val/bees/2.jpg', class: 1, content: 'bee 2', split: 'validation' },
  ];

  test('is respected, and a content on both sides is warned about', () => {
    const dataset = assemble([...given(), ...Array.from({ length: 7 }, (_, copy): Entry => ({ path: `val/ants/leak${copy}.jpg`, class: 0, content: 'ant 1', split: 'validation' }))]);
    assert.deepEqual(dataset.counts, [{ train: 1, validation: 8, test: 0 }, { train: 1, validation: 1, test: 0 }]);
    assert.equal(dataset.warnings.length, 1);
    assert.match(dataset.warnings[0] ?? '', /^7 validation images are in train too.*"val\/ants\/leak4.jpg" and 2 more$/);
    assert.deepEqual(dataset.leftOut, []);
  });

  test('needs training images of every class and some validation image', () => {
    const [ant, bee, ant2, bee2] = given();
    assert.throws(() => assemble([ant!, ant2!, bee2!, { ...bee2!, path: 'val/bees/3.jpg' }]), fails('no-training-images', /"bees"/));
    assert.throws(() => assemble([ant!, bee!, { ...ant!, path: 'train/ants/4.jpg' }, { ...bee!, path: 'train/bees/4.jpg' }]), fails('no-validation-images', /no usable validation image/));
    assert.match(assemble([...given().slice(0, 3), { ...bee!, path: 'train/bees/4.jpg' }]).warnings.join(), /No usable validation image of "bees"/);
  });
});

test('the fingerprint is the hash of sorted content, split and class', () => {
  const [a, b] = ['1'.repeat(64), 'f'.repeat(64)];
  const images = [{ sha256: b, split: 'validation', class: 1 }, { sha256: a, split: 'train', class: 0 }] as const;
  const expected = createHash('sha256').update(`${a} train "ants"\n${b} validation "bees"`).digest('hex');
  assert.equal(fingerprintOf(images, ['ants', 'bees']), expected);
  assert.equal(fingerprintOf([...images].reverse(), ['ants', 'bees']), expected);
  assert.notEqual(fingerprintOf(images, ['ants', 'wasps']), expected);
  assert.notEqual(fingerprintOf([images[0], { ...images[1], split: 'validation' }], ['ants', 'bees']), expected);
});

test('runData fits run.json, however much was left out', () => {
  const entries = [...insects(5, 5), ...Array.from({ length: 300 }, (_, index) => ({ path: `ants/bad${index}.jpg`, class: 0, content: `bad ${index}` }))];
  const data = runData(assemble(entries, { unusable: new Map(entries.slice(10).map((entry) => [entry.path, 'x'.repeat(5000)])) }));
  v.assert(v.nonOptional(runRecordSchema.entries.data), data);
  assert.equal(data.leftOutCount, 300);
  assert.equal(data.leftOut.length, 200);
  assert.deepEqual([data.train, data.validation, data.test], [8, 2, 0]);
});

test('hashImages reads bytes: content hash, and the place in the split by seed', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'thaw-hashing-'));
  try {
    await mkdir(path.join(root, 'ants'));
    const large = Buffer.alloc(3_000_000, 'ant');
    await writeFile(path.join(root, 'ants/large.jpg'), large);
    await writeFile(path.join(root, 'ants/empty.jpg'), '');
    const images = ['ants/large.jpg', 'ants/empty.jpg', 'ants/gone.jpg'].map((file) => ({ path: file, class: 0, bytes: 0 }));
    const progress: number[] = [];
    const hashes = await hashImages({ root, layout: 'split', images }, { splitSeed: 12, onProgress: (done) => progress.push(done) });
    const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    assert.deepEqual(hashes.get('ants/large.jpg'), { sha256: sha256(large), order: sha256(Buffer.concat([Buffer.from('12\0'), large])) });
    assert.deepEqual(hashes.get('ants/empty.jpg'), { sha256: sha256(Buffer.alloc(0)), order: sha256(Buffer.from('12\0')) });
    assert.deepEqual([...hashes.unreadable], [['ants/gone.jpg', 'The file can\'t be read (ENOENT)']]);
    assert.equal(progress.at(-1), 3);
    await assert.rejects(hashImages({ root, layout: 'split', images }, { splitSeed: 12, signal: AbortSignal.abort() }), { name: 'AbortError' });
  } finally {
    await rm(root, { recursive: true });
  }
});

describe('hashing', () => {
  /** A sparse file in a class folder. */
  const withSparse = async (bytes: number, work: (root: string, file: string) => Promise<void>): Promise<void> => {
    const root = await mkdtemp(path.join(tmpdir(), 'thaw-hashing-'));
    try {
      const file = path.join(root, 'ants/x.jpg');
      for (const name of ['ants', 'bees']) await mkdir(path.join(root, name));
      await writeFile(file, '');
      await truncate(file, bytes);
      await work(root, file);
    } finally {
      await rm(root, { recursive: true });
    }
  };
  const image = { path: 'ants/x.jpg', class: 0, bytes: 1 };

  test('never begins with a file larger than any image, and leaves one that has grown where it is too large', async () => {
    await withSparse(2 ** 42, async (root) => {
      const { images, leftOut } = await listDataset(root);
      assert.deepEqual([images, leftOut], [[], [{ path: 'ants/x.jpg', reason: 'Too large: 4.0 TiB, the limit is 256 MiB' }]]);
      const { unreadable, size } = await hashImages({ root, layout: 'split', images: [image] }, { splitSeed: 0 });
      assert.equal(size, 0);
      assert.match(unreadable.get('ants/x.jpg') ?? '', /^Too large: /);
    });
  });

  test('stops in the middle of a file', async () => {
    await withSparse(200 * 2 ** 20, async (root) => {
      const stop = new AbortController();
      const reason = new Error('stopped');
      setTimeout(() => { stop.abort(reason); }, 10);
      await assert.rejects(hashImages({ root, layout: 'split', images: [image] }, { splitSeed: 0, signal: stop.signal }), (error) => error === reason);
    });
  });

  test('of a whole folder ends with nothing when it is stopped, and refuses a folder that is no dataset unread', async () => {
    await withSparse(200 * 2 ** 20, async (root) => {
      await assert.rejects(readDataset(root, { splitSeed: 0 }), fails('too-few-images', /"ants" has 1 usable image; at least 2 are needed, and so it is with "bees"/));
      for (const name of ['ants/y.jpg', 'bees/1.jpg', 'bees/2.jpg']) await writeFile(path.join(root, name), name);
      const stop = new AbortController();
      setTimeout(() => { stop.abort(); }, 10);
      assert.equal(await readDataset(root, { splitSeed: 0, signal: stop.signal }), undefined);
      assert.equal(await readDataset(root, { splitSeed: 0, signal: AbortSignal.abort() }), undefined);
    });
  });
});

test('what no reading of the images can mend is refused by the listing, in the words of the whole check', () => {
  const cases: { code: string; classes: string[]; images: [file: string, label: number, split?: SplitName][] }[] = [
    { code: 'too-few-classes', classes: [], images: [] },
    { code: 'too-few-classes', classes: ['ants'], images: [['ants/1.jpg', 0], ['ants/2.jpg', 0]] },
    { code: 'too-few-images', classes: ['ants', 'bees'], images: [['ants/1.jpg', 0], ['bees/1.jpg', 1], ['bees/2.jpg', 1]] },
    { code: 'no-training-images', classes: ['ants', 'bees'], images: [['train/ants/1.jpg', 0, 'train'], ['val/ants/1.jpg', 0, 'validation'], ['val/bees/1.jpg', 1, 'validation'], ['val/bees/2.jpg', 1, 'validation']] },
    { code: 'no-validation-images', classes: ['ants', 'bees'], images: [['train/ants/1.jpg', 0, 'train'], ['train/ants/2.jpg', 0, 'train'], ['train/bees/1.jpg', 1, 'train'], ['test/bees/1.jpg', 1, 'test']] },
  ];
  const thrown = (work: () => unknown): ThawError => {
    try {
      work();
    } catch (error) {
      if (error instanceof ThawError) return error;
    }
    return assert.fail('it was taken');
  };
  for (const { code, classes, images } of cases) {
    const listing: Listing = {
      root: '/data/insects', name: 'insects', classes, layout: images.some(([, , split]) => split !== undefined) ? 'given' : 'split', leftOut: [], warnings: [],
      images: images.map(([file, label, split]) => ({ path: file, class: label, ...(split !== undefined && { split }), bytes: 1 })),
    };
    const hashes = new Map(images.map(([file]) => [file, hashOf(file)]));
    const whole = thrown(() => assembleDataset(listing, hashes, new Map(), { splitSeed: 0 }));
    const byListing = thrown(() => { requireTrainable(listing); });
    assert.deepEqual([byListing.code, byListing.message, byListing.next], [code, whole.message, whole.next]);
  }
});
