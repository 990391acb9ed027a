// What a file is, by its first bytes. Only these formats reach the decoder: a file's name says nothing.
import { formatBytes } from '../metrics/format.js';

/** Formats that are decoded. */
export const IMAGE_FORMATS = ['JPEG', 'PNG', 'WebP', 'GIF', 'TIFF', 'AVIF'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** Formats that are recognised and refused by name. */
export type RefusedFormat = 'BMP' | 'HEIC' | 'SVG' | 'JPEG XL' | 'JPEG 2000' | 'ICO' | 'PSD' | 'PDF';

/** Of a file: what is larger is no image, and is not read. */
const MAX_FILE_BYTES = 256 * 2 ** 20;

/** Why a file is left out for its size; undefined when it may be read. */
export function oversized(bytes: number): string | undefined {
  return bytes > MAX_FILE_BYTES ? `Too large: ${formatBytes(bytes)}, the limit is ${formatBytes(MAX_FILE_BYTES)}` : undefined;
}

/** Bytes that `detectImageFormat` wants to see; fewer are enough for most formats. */
export const HEAD_BYTES = 64;

/** Extensions of decoded formats, lower case, without the dot. */
const DECODED_EXTENSIONS: ReadonlySet<string> = new Set(['jpg', 'jpeg', 'jpe', 'jfif', 'png', 'apng', 'webp', 'gif', 'tif', 'tiff', 'avif']);
/** Extensions that promise an image of a refused format; what the file really is, its bytes say. */
const REFUSED_EXTENSIONS: ReadonlySet<string> = new Set(['bmp', 'dib', 'heic', 'heif', 'svg', 'jxl', 'jp2', 'j2k', 'ico', 'psd']);

/** Whether a name's extension promises an image, of whatever format. */
export function hasImageExtension(name: string): boolean {
  return hasDecodedExtension(name) || REFUSED_EXTENSIONS.has(extension(name));
}

/** Whether a name's extension promises an image that can be decoded. */
export function hasDecodedExtension(name: string): boolean {
  return DECODED_EXTENSIONS.has(extension(name));
}

/** Lower case, without the dot; empty for a name without one. */
export function extension(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? '' : name.slice(dot + 1).toLowerCase();
}

export function isDecoded(format: ImageFormat | RefusedFormat | undefined): format is ImageFormat {
  return (IMAGE_FORMATS as readonly (string | undefined)[]).includes(format);
}

/** The format of a file, from its first `HEAD_BYTES` bytes; undefined when they are no image that we know. */
export function detectImageFormat(head: Uint8Array): ImageFormat | RefusedFormat | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const text = (from: number, length: number): string => bytes.toString('latin1', from, from + length);
  if (text(0, 3) === '\xff\xd8\xff') return 'JPEG';
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') return 'PNG';
  if (text(0, 4) === 'RIFF' && text(8, 4) === 'WEBP') return 'WebP';
  if (text(0, 6) === 'GIF87a' || text(0, 6) === 'GIF89a') return 'GIF';
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text(0, 4))) return 'TIFF';
  if (text(4, 4) === 'ftyp') return detectHeif(text(8, 4), text(16, HEAD_BYTES - 16));
  if (text(0, 2) === 'BM' && bytes.length >= 26 && bytes.readUInt32LE(14) <= 200) return 'BMP';
  if (text(0, 12) === '\0\0\0\x0cJXL \r\n\x87\n' || text(0, 2) === '\xff\x0a') return 'JPEG XL';
  if (text(0, 8) === '\0\0\0\x0cjP  ' || text(0, 4) === '\xff\x4f\xff\x51') return 'JPEG 2000';
  if (text(0, 4) === '\0\0\x01\0') return 'ICO';
  if (text(0, 4) === '8BPS') return 'PSD';
  if (text(0, 5) === '%PDF-') return 'PDF';
  if (/^(?:\xef\xbb\xbf)?\s*<(?:svg\b|\?xml\b[^>]*\?>\s*<(?:svg\b|!DOCTYPE svg)|!DOCTYPE svg)/.test(text(0, HEAD_BYTES))) return 'SVG';
  return undefined;
}

/** AVIF and HEIC are the same container with other brands. */
function detectHeif(major: string, compatible: string): 'AVIF' | 'HEIC' | undefined {
  if (['avif', 'avis'].includes(major)) return 'AVIF';
  if (['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis'].includes(major)) return 'HEIC';
  if (['mif1', 'msf1', 'miaf'].includes(major)) return compatible.includes('avif') ? 'AVIF' : 'HEIC';
  return undefined;
}
