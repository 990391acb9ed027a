// A few images of a dataset, small: what it looks like.
import path from 'node:path';
import sharp from 'sharp';
import { decodeImage, readImageFile } from '../dataset/decode.js';
import { listDataset } from '../dataset/listing.js';
import { preprocessingFor } from './backbone.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';

/** Side of a picture: 48 CSS pixels on a dense screen. */
const SIDE = 96;
/** Tries for each picture that is wanted: some files may not be images. */
const TRIES = 3;

/** `count` images, class after class in turn, as JPEG files of 96 × 96. Those that can't be decoded are passed over. @throws ThawError as listDataset */
export async function *sampleImages(folder: string, count: number): AsyncGenerator<{ readonly class: string; readonly jpeg: Uint8Array }> {
  const { classes, images, root } = await listDataset(folder);
  const byClass = classes.map((_, index) => images.filter((image) => image.class === index));
  const inTurn = Array.from({ length: Math.max(0, ...byClass.map((all) => all.length)) }, (_, row) => byClass.flatMap((all) => all[row] ?? [])).flat();
  const preprocessing = preprocessingFor(DEFAULT_BACKBONE);
  let made = 0;
  for (const image of inTurn.slice(0, TRIES * count)) {
    if (made === count) return;
    const pixels = await readImageFile(path.join(root, image.path)).then((bytes) => decodeImage(bytes, preprocessing)).catch(() => undefined);
    if (pixels === undefined) continue;
    made += 1;
    const jpeg = await sharp(pixels, { raw: { width: preprocessing.size, height: preprocessing.size, channels: 3 } }).resize(SIDE, SIDE).jpeg({ quality: 80 }).toBuffer();
    yield { class: classes[image.class] ?? '', jpeg };
  }
}
