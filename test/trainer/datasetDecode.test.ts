// Images as they come: made by sharp, broken by hand.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import sharp, { type Create, type Sharp } from 'sharp';
import { ContentCache } from '../../src/dataset/contentCache.js';
import { centreOffset, decodeImage, resizedSize, type Preprocessing } from '../../src/dataset/decode.js';
import { missingPixelBytes, PixelSource, pixelKey, type SourceItem } from '../../src/dataset/pixelSource.js';
import { ThawError } from '../../src/protocol/errors.js';
import { crc32 } from '../../src/storage/crc32.js';

const PREPROCESSING: Preprocessing = { id: 'test', resizeShortSide: 256, size: 256, kernel: 'cubic', colour: 'rgb' };
const SIZE = PREPROCESSING.size;

/** Red left, green right above; blue left, white right below. */
function quarters(width: number, height: number): Sharp {
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const colour = y < height / 2 ? (x < width / 2 ? [255, 0, 0] : [0, 255, 0]) : (x < width / 2 ? [0, 0, 255] : [255, 255, 255]);
    pixels.set(colour, (y * width + x) * 3);
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

/** Noise, so that cutting the file cuts pixels. */
function noise(width: number, height: number): Sharp {
  return sharp({ create: { width, height, channels: 3, background: '#000', noise: { type: 'gaussian', mean: 128, sigma: 40 } } });
}

function flat(colour: Create['background'], channels: 3 | 4 = 3): Sharp {
  return sharp({ create: { width: 300, height: 260, channels, background: colour } });
}

function pixelAt(pixels: Uint8Array, x: number, y: number): number[] {
  return [...pixels.subarray((y * SIZE + x) * 3, (y * SIZE + x) * 3 + 3)];
}

function near(found: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.ok(expected.every((value, index) => Math.abs(value - (found[index] ?? NaN)) <= tolerance), `${found.join()} is not ${expected.join()} ± ${tolerance}`);
}

function fails(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** A PNG of one colour, of any size, in a few bytes a row. */
function pngBomb(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const bytes = Buffer.alloc(body.length + 8);
    bytes.writeUInt32BE(data.length, 0);
    body.copy(bytes, 4);
    bytes.writeUInt32BE(crc32(body), body.length + 4);
    return bytes;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 1; // one bit of gray
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.alloc((width / 8 + 1) * height))), chunk('IEND', Buffer.alloc(0))]);
}

describe('formats', () => {
  for (const [name, encode] of [
    ['JPEG', (image: Sharp) => image.jpeg({ quality: 95 })], ['progressive JPEG', (image: Sharp) => image.jpeg({ quality: 95, progressive: true })],
    ['PNG', (image: Sharp) => image.png()], ['16-bit PNG', (image: Sharp) => image.toColourspace('rgb16').png()], ['palette PNG', (image: Sharp) => image.png({ palette: true })],
    ['WebP', (image: Sharp) => image.webp({ quality: 95 })], ['GIF', (image: Sharp) => image.gif()], ['TIFF', (image: Sharp) => image.tiff({ compression: 'lzw' })],
    ['AVIF', (image: Sharp) => image.avif({ quality: 90, effort: 0 })],
  ] as const) {
    test(name, async () => {
      const pixels = await decodeImage(await encode(quarters(512, 320)).toBuffer(), PREPROCESSING);
      assert.equal(pixels.length, SIZE * SIZE * 3);
      for (const [x, y, colour] of [[40, 40, [255, 0, 0]], [210, 40, [0, 255, 0]], [40, 210, [0, 0, 255]], [210, 210, [255, 255, 255]]] as const) near(pixelAt(pixels, x, y), colour, 12);
    });
  }

  test('CMYK, with and without a profile', async () => {
    for (const image of [
      flat('#c02020').toColourspace('cmyk').jpeg({ quality: 100 }), flat('#c02020').toColourspace('cmyk').tiff(),
      flat('#c02020').toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 100 }),
    ]) near(pixelAt(await decodeImage(await image.toBuffer(), PREPROCESSING), 100, 100), [192, 32, 32], 25); // twice through a profile of inks
  });

  test('an embedded RGB profile is not applied, as PIL doesn\'t', async () => {
    const file = await flat('#c02020').withIccProfile('p3').png().toBuffer();
    const stored = await sharp(file, { ignoreIcc: true }).raw().toBuffer();
    near(pixelAt(await decodeImage(file, PREPROCESSING), 100, 100), [...stored.subarray(0, 3)], 1);
  });

  test('gray, of 8 and 16 bits', async () => {
    near(pixelAt(await decodeImage(await flat('#505050').toColourspace('b-w').png().toBuffer(), PREPROCESSING), 9, 9), [80, 80, 80], 1);
    near(pixelAt(await decodeImage(await flat('#505050').toColourspace('b-w').jpeg().toBuffer(), PREPROCESSING), 9, 9), [80, 80, 80], 2);
    near(pixelAt(await decodeImage(await flat('#505050').toColourspace('grey16').png().toBuffer(), PREPROCESSING), 9, 9), [80, 80, 80], 1);
  });

  test('alpha is laid over white', async () => {
    near(pixelAt(await decodeImage(await flat({ r: 0, g: 0, b: 0, alpha: 0 }, 4).png().toBuffer(), PREPROCESSING), 9, 9), [255, 255, 255], 1);
    near(pixelAt(await decodeImage(await flat({ r: 200, g: 0, b: 0, alpha: 0.5 }, 4).png().toBuffer(), PREPROCESSING), 9, 9), [228, 128, 128], 2);
    near(pixelAt(await decodeImage(await flat({ r: 200, g: 0, b: 0, alpha: 0.5 }, 4).toColourspace('rgb16').png().toBuffer(), PREPROCESSING), 9, 9), [228, 128, 128], 2);
    near(pixelAt(await decodeImage(await flat({ r: 0, g: 0, b: 0, alpha: 0.5 }, 4).toColourspace('b-w').png().toBuffer(), PREPROCESSING), 9, 9), [128, 128, 128], 2);
    near(pixelAt(await decodeImage(await flat({ r: 0, g: 200, b: 0, alpha: 0 }, 4).webp({ lossless: true }).toBuffer(), PREPROCESSING), 9, 9), [255, 255, 255], 1);
  });

  test('of an animation the first frame', async () => {
    const frames = await Promise.all(['#ff0000', '#0000ff'].map((colour) => flat(colour).png().toBuffer()));
    const animation = sharp(frames, { join: { animated: true } });
    for (const file of [await animation.clone().gif().toBuffer(), await animation.clone().webp({ quality: 100 }).toBuffer()]) {
      assert.equal((await sharp(file, { animated: true }).metadata()).pages, 2);
      near(pixelAt(await decodeImage(file, PREPROCESSING), 128, 250), [255, 0, 0], 4);
    }
  });

  test('EXIF orientation, all eight', async () => {
    const upright = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    // What the sensor stored, so that the upright picture is `quarters`: the inverse of each orientation.
    const stored: Record<number, (image: Sharp) => Sharp> = {
      1: (image) => image, 2: (image) => image.flop(), 3: (image) => image.rotate(180), 4: (image) => image.flip(),
      6: (image) => image.rotate(270), 8: (image) => image.rotate(90),
    };
    for (const [orientation, turn] of Object.entries(stored)) {
      const turned = await turn(quarters(400, 300)).png().toBuffer();
      const pixels = await decodeImage(await sharp(turned).withMetadata({ orientation: Number(orientation) }).jpeg({ quality: 95 }).toBuffer(), PREPROCESSING);
      for (const [index, [x, y]] of [[40, 40], [210, 40], [40, 210], [210, 210]].entries()) near(pixelAt(pixels, x!, y!), upright[index]!, 12);
    }
  });
});

describe('what can\'t be decoded is named', () => {
  test('an empty file, text, HTML, a format that is refused by name', async () => {
    await assert.rejects(decodeImage(Buffer.alloc(0), PREPROCESSING), fails('empty-image', /^The file is empty$/));
    await assert.rejects(decodeImage(Buffer.from('not a picture'), PREPROCESSING), fails('unsupported-image', /^Not an image/));
    await assert.rejects(decodeImage(Buffer.from('<!DOCTYPE html><html>404'), PREPROCESSING), fails('unsupported-image', /^Not an image/));
    await assert.rejects(decodeImage(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), PREPROCESSING), fails('unsupported-image', /^SVG is not supported/));
    const bmp = Buffer.alloc(58);
    bmp.write('BM');
    bmp.writeUInt32LE(40, 14);
    await assert.rejects(decodeImage(bmp, PREPROCESSING), fails('unsupported-image', /^BMP is not supported/));
    await assert.rejects(decodeImage(Buffer.from('\0\0\0\x18ftypheic\0\0\0\0heicmif1', 'latin1'), PREPROCESSING), fails('unsupported-image', /^HEIC is not supported/));
  });

  for (const [name, encode] of [
    ['JPEG', (image: Sharp) => image.jpeg()], ['PNG', (image: Sharp) => image.png()], ['WebP', (image: Sharp) => image.webp()],
    ['GIF', (image: Sharp) => image.gif()], ['TIFF', (image: Sharp) => image.tiff()], ['AVIF', (image: Sharp) => image.avif({ effort: 0 })],
  ] as const) {
    test(`a ${name} that is cut short, also where the crop doesn't look`, async () => {
      for (const [width, height] of [[300, 200], [200, 600]] as const) {
        const file = await encode(noise(width, height)).toBuffer();
        await decodeImage(file, PREPROCESSING);
        for (const share of [0.3, 0.9, 0.98]) {
          await assert.rejects(decodeImage(file.subarray(0, Math.floor(file.length * share)), PREPROCESSING), fails('damaged-image', /^Cut short or damaged/));
        }
        await assert.rejects(decodeImage(file.subarray(0, 20), PREPROCESSING), fails('damaged-image', /^Cut short or damaged/));
      }
    });
  }

  test('a decompression bomb, before it is unpacked', async () => {
    const bomb = pngBomb(20_000, 20_000);
    assert.ok(bomb.length < 100_000);
    const memory = process.memoryUsage.rss();
    await assert.rejects(decodeImage(bomb, PREPROCESSING), fails('oversized-image', /^Too large: 20,000 × 20,000 pixels, the limit is 134 million$/));
    assert.ok(process.memoryUsage.rss() - memory < 200e6);
    assert.equal((await decodeImage(pngBomb(2000, 2000), PREPROCESSING)).length, SIZE * SIZE * 3);
  });

  test('a missing file and a folder', async () => {
    await assert.rejects(decodeImage(path.join(tmpdir(), 'no-such-image.jpg'), PREPROCESSING), fails('unreadable-image', /ENOENT/));
    await assert.rejects(decodeImage(tmpdir(), PREPROCESSING), fails('unreadable-image', /./));
  });
});

describe('geometry', () => {
  test('sizes and offsets are torchvision\'s', () => {
    // torchvision.transforms.functional._compute_resized_output_size and center_crop, computed by Python.
    for (const [width, height, expected] of [[500, 375, [341, 256]], [375, 500, [256, 341]], [333, 500, [256, 384]], [1, 5000, [256, 1280000]], [72, 72, [256, 256]], [500, 331, [386, 256]]] as const) {
      const { width: w, height: h } = resizedSize(width, height, 256);
      assert.deepEqual([w, h], expected);
    }
    assert.deepEqual([256, 257, 258, 259, 261, 263, 341].map((length) => centreOffset(length, 256)), [0, 0, 1, 2, 2, 4, 42]);
  });

  test('pixels lie where they belong, enlarged and reduced: a ramp stays a ramp', async () => {
    for (const [width, height] of [[64, 64], [150, 120], [250, 250], [300, 300], [700, 512], [1100, 1024]] as const) {
      const ramp = Buffer.alloc(width * height * 3);
      const [a, b] = [200 / width, 200 / height];
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) ramp.set([20 + a * (x + 0.5), 20 + b * (y + 0.5), 100], (y * width + x) * 3);
      const pixels = await decodeImage(await sharp(ramp, { raw: { width, height, channels: 3 } }).png().toBuffer(), PREPROCESSING);
      const full = resizedSize(width, height, 256);
      let across = 0;
      let down = 0;
      for (let y = 16; y < 240; y++) for (let x = 16; x < 240; x++) {
        const [red = 0, green = 0] = pixelAt(pixels, x, y);
        across += red - (20 + 200 * ((x + 0.5 + centreOffset(full.width, 256)) / full.width));
        down += green - (20 + 200 * ((y + 0.5 + centreOffset(full.height, 256)) / full.height));
      }
      // Storing the ramp rounds down by half a level on average; a quarter of a source pixel is another 0.8 levels at 64.
      for (const shift of [across, down]) assert.ok(Math.abs(shift / 224 ** 2 + 0.5) < 0.3, `${width} × ${height}: ${(shift / 224 ** 2).toFixed(2)} levels`);
    }
  });

  test('very long and very small images', async () => {
    for (const [width, height] of [[1, 5000], [5000, 1], [1, 1], [3, 65_000], [2, 17], [257, 256]] as const) {
      const pixels = await decodeImage(await sharp({ create: { width, height, channels: 3, background: '#3060c0' } }).png().toBuffer(), PREPROCESSING);
      near(pixelAt(pixels, 0, 0), [48, 96, 192], 1);
      near(pixelAt(pixels, 255, 255), [48, 96, 192], 1);
    }
  });

  test('of a very long image the middle is taken', async () => {
    const [width, height] = [6000, 100];
    const pixels = Buffer.alloc(width * height * 3);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) pixels.set(Math.abs(x - 3000) < 60 ? [0, 200, 0] : [200, 0, 0], (y * width + x) * 3);
    const found = await decodeImage(await sharp(pixels, { raw: { width, height, channels: 3 } }).png().toBuffer(), PREPROCESSING);
    for (const x of [2, 128, 253]) near(pixelAt(found, x, 128), [0, 200, 0], 6);
  });
});

describe('PixelSource', () => {
  let folder: string;
  const files = new Map<string, Buffer>();
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'thaw-pixels-'));
    await mkdir(path.join(folder, 'data'));
    for (let index = 0; index < 12; index++) files.set(`${index}.jpg`, await noise(300 + index, 280).jpeg().toBuffer());
    files.set('cut.jpg', files.get('3.jpg')!.subarray(0, 2000));
    files.set('empty.jpg', Buffer.alloc(0));
    for (const [name, bytes] of files) await writeFile(path.join(folder, 'data', name), bytes);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const imageOf = (name: string): { path: string; sha256: string } => ({ path: name, sha256: createHash('sha256').update(files.get(name)!).digest('hex') });
  const sourceWith = (cacheName: string, readAhead?: number): { cache: ContentCache; source: PixelSource } => {
    const cache = new ContentCache({ folder: path.join(folder, cacheName), capBytes: 1e9 });
    return { cache, source: new PixelSource({ root: path.join(folder, 'data'), preprocessing: PREPROCESSING, cache, ...(readAhead === undefined ? {} : { readAhead }) }) };
  };
  const collect = async (items: AsyncIterable<SourceItem>): Promise<SourceItem[]> => {
    const all: SourceItem[] = [];
    for await (const item of items) all.push(item);
    return all;
  };

  test('hands out pixels in order, names what it can\'t decode, and a second pass decodes nothing', async () => {
    const names = ['5.jpg', 'cut.jpg', '1.jpg', 'empty.jpg', '5.jpg', '11.jpg'];
    const images = [...names.map(imageOf), { path: 'gone.jpg', sha256: '0'.repeat(64) }];
    const { cache, source } = sourceWith('order', 2);
    assert.equal(await missingPixelBytes(images.slice(0, 1), PREPROCESSING, cache), SIZE * SIZE * 3 + 16);
    const cold = await collect(source.stream(images));
    assert.deepEqual(cold.map((item) => item.index), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(cold.map((item) => item.reason?.slice(0, 20)), [undefined, 'Cut short or damaged', undefined, 'The file is empty', undefined, undefined, 'The file can\'t be re']);
    for (const index of [0, 2, 4, 5]) assert.deepEqual(Uint8Array.from(cold[index]!.pixels!), await decodeImage(files.get(names[index]!)!, PREPROCESSING));
    assert.equal(await missingPixelBytes(images.slice(0, 1), PREPROCESSING, cache), 0);
    // The same from the cache alone: there are no files where this source looks.
    const elsewhere = new PixelSource({ root: folder, preprocessing: PREPROCESSING, cache });
    const warm = await collect(elsewhere.stream(images));
    for (const index of [0, 2, 4, 5]) assert.deepEqual(Uint8Array.from(warm[index]!.pixels!), Uint8Array.from(cold[index]!.pixels!));
  });

  test('a file that has changed since it was hashed is not taken for what it was', async () => {
    const { cache, source } = sourceWith('changed');
    const image = { ...imageOf('1.jpg'), path: '2.jpg' };
    assert.match((await collect(source.stream([image])))[0]?.reason ?? '', /has changed since it was listed/);
    assert.equal(await cache.has('pixels', pixelKey(image.sha256, PREPROCESSING)), false);
    await assert.rejects(source.get(image), fails('changed-image', /./));
  });

  test('stops by signal, and when its consumer breaks off', async () => {
    const images = [...files.keys()].filter((name) => /^\d/.test(name)).map(imageOf);
    const controller = new AbortController();
    const { source } = sourceWith('abort', 3);
    let seen = 0;
    await assert.rejects(async () => {
      for await (const item of source.stream(images, controller.signal)) {
        seen += item.pixels === undefined ? 0 : 1;
        if (seen === 2) controller.abort();
      }
    }, { name: 'AbortError' });
    assert.equal(seen, 2);
    for await (const item of source.stream(images)) if (item.index === 1) break;
    assert.equal((await collect(source.stream(images))).length, images.length);
  });

  test('has as many images under way as asked for, and no more', async () => {
    const images = [...files.keys()].filter((name) => /^\d/.test(name)).map(imageOf);
    let begun = 0;
    class CountingCache extends ContentCache {
      override async read(...entry: Parameters<ContentCache['read']>): Promise<Buffer | undefined> {
        begun += 1;
        return super.read(...entry);
      }
    }
    const cache = new CountingCache({ folder: path.join(folder, 'ahead'), capBytes: 1e9 });
    const source = new PixelSource({ root: path.join(folder, 'data'), preprocessing: PREPROCESSING, cache, readAhead: 5 });
    const seen: number[] = [];
    for await (const item of source.stream(images)) {
      assert.ok(item.pixels);
      seen.push(begun);
    }
    assert.deepEqual(seen, [5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12]);
  });

  test('a cache that can\'t be written is told once, and costs nothing else', async () => {
    await writeFile(path.join(folder, 'not-a-folder'), '');
    const told: string[] = [];
    const cache = new ContentCache({ folder: path.join(folder, 'not-a-folder'), capBytes: 1e9 });
    const source = new PixelSource({ root: path.join(folder, 'data'), preprocessing: PREPROCESSING, cache, onCacheProblem: (message) => told.push(message) });
    const items = await collect(source.stream(['1.jpg', '2.jpg', '3.jpg'].map(imageOf)));
    assert.ok(items.every((item) => item.pixels));
    assert.equal(told.length, 1);
    assert.match(told[0]!, /can't be kept in the cache \(ENOTDIR\)/);
  });
});
