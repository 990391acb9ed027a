// The whole way on real photographs: list, hash, decode, assemble; and pixels against torchvision's own resizing, by numbers kept from PIL.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assembleDataset, runData, type Dataset } from '../../src/dataset/assemble.js';
import { decodeImage, type Preprocessing } from '../../src/dataset/decode.js';
import { ContentCache } from '../../src/dataset/contentCache.js';
import { hashImages } from '../../src/dataset/hashing.js';
import { listDataset } from '../../src/dataset/listing.js';
import { PixelSource } from '../../src/dataset/pixelSource.js';

const DATA = path.join(process.cwd(), '..', 'shared', 'data');
const missing = !existsSync(DATA) && process.env['CI'] !== 'true' ? 'the photographs are not here' : false;

const PREPROCESSING: Preprocessing = { id: 'photographs', resizeShortSide: 256, size: 256, kernel: 'cubic', colour: 'rgb' };

describe('photographs', { skip: missing }, () => {
  let folder: string;
  before(async () => { folder = await mkdtemp(path.join(tmpdir(), 'thaw-photographs-')); });
  after(() => rm(folder, { recursive: true, force: true }));

  async function read(name: string): Promise<{ dataset: Dataset; streamed: number }> {
    const listing = await listDataset(path.join(DATA, name));
    const hashes = await hashImages(listing, { splitSeed: 0 });
    const images = listing.images.map((image) => ({ path: image.path, sha256: hashes.get(image.path)!.sha256 }));
    const source = new PixelSource({
      root: listing.root, cache: new ContentCache({ folder, capBytes: 1e9 }),
      preprocessing: PREPROCESSING,
    });
    const unusable = new Map<string, string>();
    let streamed = 0;
    for await (const item of source.stream(images)) {
      if (item.reason === undefined) streamed += 1;
      else unusable.set(images[item.index]!.path, item.reason);
    }
    return { dataset: assembleDataset(listing, hashes, unusable, { splitSeed: 0 }), streamed };
  }

  test('Hymenoptera: 245 to train, 153 to validate, the GIF included', async () => {
    const { dataset, streamed } = await read('hymenoptera');
    const { train, validation, counts } = runData(dataset);
    assert.deepEqual([train, validation, streamed], [245, 153, 398]);
    assert.deepEqual(dataset.classes, ['ants', 'bees']);
    assert.deepEqual(counts, [{ train: 124, validation: 70, test: 0 }, { train: 121, validation: 83, test: 0 }]);
    assert.deepEqual(dataset.leftOut, []);
    assert.ok(dataset.images.some((image) => image.path.endsWith('.gif')));
  });

  test('dog_cat: 1,399, a fifth of each class to validate', async () => {
    const { dataset, streamed } = await read('dog_cat');
    assert.equal(streamed, 1399);
    assert.equal(dataset.images.length + dataset.leftOut.length, 1399);
    for (const [index, count] of dataset.counts.entries()) {
      const distinct = new Set(dataset.images.filter((image) => image.class === index).map((image) => image.sha256)).size;
      const validated = new Set(dataset.images.filter((image) => image.class === index && image.split === 'validation').map((image) => image.sha256));
      assert.equal(validated.size, Math.round(0.2 * distinct));
      assert.ok(count.train > count.validation);
    }
  });

  // Every 64th pixel from (32, 32) of Image.open(…).convert('RGB').resize(…), then the centre crop, by Pillow 13: reduced a little, enlarged,
  // reduced by much (libjpeg shrinks on loading), upright.
  for (const [kernel, file, base64] of [
    ['cubic', 'val/bees/1519368889_4270261ee3.jpg', 'n5ar3t7ie4GVP0hHAgACAwIAMCcne3dPSjMayevhW0oulryCc3lq19jW4rycTWFO'],
    ['cubic', 'train/ants/2019439677_2db655d361.jpg', 'QD4/Z2VW3dS+fHx8t62dk4JK59OKgoN+TkxHdVpB8du7W1tavr6+X19fzc3NlJSU'],
    ['cubic', 'train/ants/Nepenthes_rafflesiana_ant.jpg', '0a6Qr4Zn+N+0vZ+C3ryc3L2N0rKHhWJB1q9yt49rUC0kOCgZIBcQgW9Zj3thmZA/'],
    ['cubic', 'val/ants/161076144_124db762d6.jpg', 'y34nHBELsbKmVEpCUkc4SCYMW0czNSolend2PzMvOCcmaV5KMSENLCYhxLCIraue'],
    ['linear', 'val/bees/1519368889_4270261ee3.jpg', 'nZSl29reeH2QTV9YCwkJAwMCMSgleXNNSDMbyOvgYFM3lbmDcnhp19bT07SVUWZR'],
    ['linear', 'train/ants/2019439677_2db655d361.jpg', 'QD4/YV9P0ciye3t7t62dkoJL4MiCgIF7VVNNfmJI79q8YmJhtra2ZmZmzc3NkJCQ'],
    ['linear', 'train/ants/Nepenthes_rafflesiana_ant.jpg', '0K2ProZn+OO4vZ+D27qb3L2N07OHhmNC1a9yt45rVjcrOCgZIBcQgnBZj3thmZA+'],
    ['linear', 'val/ants/161076144_124db762d6.jpg', 'xnwpIBUPpqaWVUtCW1BCUTAWX006PjQvb2toPzQwOCgmal5LOCcVLygjvaqCoZ2Q'],
  ] as const) {
    test(`${file} becomes what PIL makes of it, ${kernel}`, async () => {
      const expected = Buffer.from(base64, 'base64');
      const pixels = await decodeImage(path.join(DATA, 'hymenoptera', file), { ...PREPROCESSING, kernel });
      const found = [32, 96, 160, 224].flatMap((y) => [32, 96, 160, 224].flatMap((x) => [...pixels.subarray((y * 256 + x) * 3, (y * 256 + x) * 3 + 3)]));
      assert.equal(found.length, expected.length);
      const mean = found.reduce((sum, value, index) => sum + Math.abs(value - (expected[index] ?? 0)), 0) / found.length;
      assert.ok(mean <= 1, `mean difference ${mean.toFixed(2)} of 255`);
    });
  }
});
