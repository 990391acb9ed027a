// From an image file to a square of pixels. What a file is, its bytes say; a hostile file can cost time and memory within bounds, no more.
import { closeSync, constants, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import sharp, { type Sharp } from 'sharp';
import { formatCount } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import { detectImageFormat, HEAD_BYTES, isDecoded, oversized } from './imageFormat.js';

const readAsync = promisify(read);

/** How an image becomes pixels. */
export interface Preprocessing {
  /** Part of every cache key: another id where the pixels would be others. */
  readonly id: string;
  /** The short side after resizing; the long side keeps the proportion, rounded down, as torchvision's Resize does. */
  readonly resizeShortSide: number;
  /** Side of the square that is cut out of the centre. */
  readonly size: number;
  /** Catmull-Rom or a triangle, widened when shrinking: PIL's bicubic and bilinear. */
  readonly kernel: 'cubic' | 'linear';
  readonly colour: 'rgb';
}

/** 134 megapixels: above any camera phone's 108, below what would fill the memory of a small machine. */
export const MAX_PIXELS = 2 ** 27;
/** Beyond this proportion only the middle of an image is resized: the rest would be millions of pixels that the crop throws away. */
const EXTREME_PROPORTION = 8;

/**
 * Decodes an image and cuts out the square that a network sees. EXIF orientation is honoured, alpha is laid over white; gray, CMYK and
 * 16 bits become 8-bit sRGB; of an animation or a file of several pages the first is taken. Damage anywhere in the file is an error, also outside the square
 * (but for images more than eight times as long as wide).
 * @param source a path, or the file's bytes
 * @returns `[size, size, 3]` bytes
 * @throws ThawError of kind `input`: `unreadable-image`, `empty-image`, `unsupported-image`, `damaged-image`, `oversized-image`; the message
 * stands by itself after a file's name
 */
export async function decodeImage(source: string | Buffer, preprocessing: Preprocessing): Promise<Uint8Array> {
  const { data, resized, oversampling } = await decodeResized(source, preprocessing);
  const { size } = preprocessing;
  return cut(data, resized, oversampling, { left: centreOffset(resized.width, size), top: centreOffset(resized.height, size), width: size, height: size });
}

/** An image, resized, nothing cut off. */
export interface WholeImage {
  /** `[height, width, 3]` bytes. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** As `decodeImage`, but the whole of the resized image (of one more than eight times as long as wide, the middle). @throws as it */
export async function decodeWholeImage(source: string | Buffer, preprocessing: Preprocessing): Promise<WholeImage> {
  const { data, resized, oversampling } = await decodeResized(source, preprocessing);
  return { ...resized, pixels: cut(data, resized, oversampling, { left: 0, top: 0, ...resized }) };
}

interface Resized {
  /** `[height · oversampling, width · oversampling, 3]`. */
  readonly data: Buffer;
  readonly resized: { readonly width: number; readonly height: number };
  readonly oversampling: 1 | 2;
}

async function decodeResized(source: string | Buffer, preprocessing: Preprocessing): Promise<Resized> {
  const bytes = typeof source === 'string' ? await readImageFile(source) : source;
  checkFormat(bytes);
  configure();
  const { width, height, cmyk } = await readHeader(bytes);
  if (width * height > MAX_PIXELS) {
    throw imageError('oversized-image', `Too large: ${formatCount(width)} × ${formatCount(height)} pixels, the limit is ${formatCount(MAX_PIXELS / 1e6)} million`, 'Make the image smaller');
  }
  const { resizeShortSide: short, kernel } = preprocessing;
  const extreme = Math.max(width, height) > EXTREME_PROPORTION * Math.min(width, height);
  const kept = extreme ? middleOf(width, height) : { left: 0, top: 0, width, height };
  const resized = resizedSize(kept.width, kept.height, short);
  // libvips puts what it enlarges half an output pixel too far to the right and below. At twice the size, every second pixel is where PIL's is.
  const oversampling = Math.min(kept.width, kept.height) < short ? 2 : 1;
  const pipeline = extreme ? openImage(bytes, cmyk).extract(kept) : openImage(bytes, cmyk);
  try {
    const { data, info } = await pipeline
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .resize(resized.width * oversampling, resized.height * oversampling, { fit: 'fill', kernel })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (data.length !== resized.width * resized.height * oversampling ** 2 * 3) {
      throw new Error(`sharp gave ${info.width} × ${info.height} × ${info.channels} for ${resized.width} × ${resized.height} × 3`);
    }
    return { data, resized, oversampling };
  } catch (error) {
    throw damaged(error);
  }
}

/** The size after resizing the short side to `short`, as torchvision's Resize computes it. */
export function resizedSize(width: number, height: number, short: number): { width: number; height: number } {
  return width <= height
    ? { width: short, height: Math.floor((short * height) / width) }
    : { width: Math.floor((short * width) / height), height: short };
}

/** The offset of a centre crop, as torchvision's CenterCrop computes it: Python's round, halves to even. */
export function centreOffset(length: number, size: number): number {
  const half = (length - size) / 2;
  const down = Math.floor(half);
  return half - down === 0.5 ? down + (down % 2) : Math.round(half);
}

/** Reads an image file whole. @throws ThawError `unreadable-image` or `oversized-image` */
export async function readImageFile(file: string): Promise<Buffer> {
  let handle: number | undefined;
  try {
    // Opened in the event loop, read in a thread: each step in a thread costs a turn of a loop that tensor work holds up.
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe with nobody at its end would hold us for ever
    const info = fstatSync(handle);
    if (!info.isFile()) throw imageError('unreadable-image', 'Not a regular file', 'Remove it from the class folder');
    const tooLarge = oversized(info.size);
    if (tooLarge !== undefined) throw imageError('oversized-image', tooLarge, 'Make the image smaller');
    const bytes = Buffer.allocUnsafeSlow(info.size);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await readAsync(handle, bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break; // shorter than a moment ago
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw imageError('unreadable-image', `The file can't be read (${code})`, 'Check the file and its permissions', error);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

function checkFormat(bytes: Buffer): void {
  if (bytes.length === 0) throw imageError('empty-image', 'The file is empty', 'Remove it, or fetch it again');
  const format = detectImageFormat(bytes.subarray(0, HEAD_BYTES));
  if (isDecoded(format)) return;
  if (format === undefined) throw imageError('unsupported-image', 'Not an image: its bytes are none of JPEG, PNG, WebP, GIF, TIFF and AVIF', 'Remove it, or fetch it again');
  throw imageError('unsupported-image', `${format} is not supported; JPEG, PNG, WebP, GIF, TIFF and AVIF are`, 'Convert it to PNG or JPEG');
}

/**
 * Embedded colour profiles are not applied, as PIL and torchvision don't: the pretrained weights have never seen them applied, and it would
 * cost a third of the decoding. CMYK is meaningless without one.
 */
function openImage(bytes: Buffer, cmyk: boolean): Sharp {
  return sharp(bytes, { autoOrient: true, failOn: 'error', ignoreIcc: !cmyk, limitInputPixels: MAX_PIXELS, pages: 1 });
}

/** Width and height as seen, EXIF orientation applied. */
async function readHeader(bytes: Buffer): Promise<{ width: number; height: number; cmyk: boolean }> {
  try {
    // The limit is checked by the caller, whose message has the numbers; headers alone cost nothing.
    const { autoOrient, pageHeight, space } = await sharp(bytes, { failOn: 'error', limitInputPixels: false, pages: 1 }).metadata();
    return { width: autoOrient.width, height: pageHeight ?? autoOrient.height, cmyk: space === 'cmyk' };
  } catch (error) {
    throw damaged(error);
  }
}

/** The middle of a very long image: a little more than the square in the centre. */
function middleOf(width: number, height: number): { left: number; top: number; width: number; height: number } {
  const long = Math.max(width, height);
  const kept = Math.min(long, Math.min(width, height) * EXTREME_PROPORTION);
  const start = Math.floor((long - kept) / 2);
  return width > height ? { left: start, top: 0, width: kept, height } : { left: 0, top: start, width, height: kept };
}

function cut(data: Buffer, { width }: { width: number }, oversampling: 1 | 2, part: { left: number; top: number; width: number; height: number }): Uint8Array {
  const { left, top } = part;
  const row = part.width * 3;
  const pixels = new Uint8Array(row * part.height);
  if (oversampling === 1) {
    for (let y = 0; y < part.height; y++) {
      const from = ((top + y) * width + left) * 3;
      pixels.set(data.subarray(from, from + row), y * row);
    }
    return pixels;
  }
  for (let y = 0, to = 0; y < part.height; y++) {
    let from = (((top + y) * 2 + 1) * width * 2 + left * 2 + 1) * 3;
    for (let x = 0; x < part.width; x++, from += 6) {
      pixels[to++] = data[from] ?? 0;
      pixels[to++] = data[from + 1] ?? 0;
      pixels[to++] = data[from + 2] ?? 0;
    }
  }
  return pixels;
}

/** libvips: one thread an image (several images are decoded at once instead), and no cache of operations, since no file comes twice. */
let configured = false;
function configure(): void {
  if (configured) return;
  configured = true;
  sharp.concurrency(1);
  sharp.cache(false);
}

function damaged(error: unknown): ThawError {
  // libvips hands out all that its loaders said, oldest first.
  const said = (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1)?.slice(0, 200) ?? '';
  return imageError('damaged-image', `Cut short or damaged${said === '' ? '' : ` (${said})`}`, 'Remove it, or fetch it again', error);
}

function imageError(code: string, message: string, next: string, cause?: unknown): ThawError {
  return new ThawError('input', code, message, next, cause === undefined ? undefined : { cause });
}
