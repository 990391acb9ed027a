// Crops and mirror images of decoded pixels. Pure: random numbers are the caller's.

export interface Crop {
  /** Side of the square `source`, in pixels. */
  readonly stored: number;
  /** Side of the square that is cut out. */
  readonly size: number;
  /** First row and column that are kept, from 0. */
  readonly top: number;
  readonly left: number;
  /** Mirrored, left for right. */
  readonly flip: boolean;
}

/** The square in the centre; of an odd margin the larger part is below and to the right. */
export function centreCrop(stored: number, size: number): Crop {
  const margin = Math.floor((stored - size) / 2);
  return { stored, size, top: margin, left: margin, flip: false };
}

/**
 * Copies a square out of an image into a batch.
 * @param target receives `[size, size, 3]` bytes at `offset`
 * @param source `[stored, stored, 3]` bytes
 * @throws RangeError when the square doesn't lie inside the image, or the batch is too short
 */
export function cropInto(target: Uint8Array, offset: number, source: Uint8Array, crop: Crop): void {
  const { stored, size, top, left, flip } = crop;
  const inside = (start: number): boolean => Number.isInteger(start) && start >= 0 && start + size <= stored;
  if (!inside(top) || !inside(left) || source.length < stored * stored * 3 || offset < 0 || target.length < offset + size * size * 3) {
    throw new RangeError(`a square of ${size} at (${left}, ${top}) does not lie inside an image of ${stored}, or the batch is too short`);
  }
  const row = size * 3;
  for (let y = 0; y < size; y++) {
    const from = ((top + y) * stored + left) * 3;
    const to = offset + y * row;
    if (!flip) {
      target.set(source.subarray(from, from + row), to);
      continue;
    }
    for (let x = 0; x < row; x += 3) {
      const mirrored = to + row - 3 - x;
      target[mirrored] = source[from + x] ?? 0;
      target[mirrored + 1] = source[from + x + 1] ?? 0;
      target[mirrored + 2] = source[from + x + 2] ?? 0;
    }
  }
}

/** A rectangle inside an image, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Draws a crop as torchvision's `RandomResizedCrop.get_params` does: ten times an area and a proportion (log-uniform), until such a rectangle
 * fits somewhere; then the largest one in the middle whose proportion is allowed.
 * @param random `uniform()` in [0, 1); `integer(n)` from 0 to n − 1
 */
export function drawResizedCrop(
  image: { readonly width: number; readonly height: number },
  bounds: { readonly scale: readonly [number, number]; readonly ratio: readonly [number, number] },
  random: { uniform(): number; integer(below: number): number },
): Box {
  const between = (least: number, largest: number): number => least + random.uniform() * (largest - least);
  const [leastRatio, largestRatio] = bounds.ratio;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = image.width * image.height * between(...bounds.scale);
    const ratio = Math.exp(between(Math.log(leastRatio), Math.log(largestRatio)));
    const width = roundHalfEven(Math.sqrt(area * ratio));
    const height = roundHalfEven(Math.sqrt(area / ratio));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const top = random.integer(image.height - height + 1);
    return { width, height, top, left: random.integer(image.width - width + 1) };
  }
  const proportion = image.width / image.height;
  const width = proportion > largestRatio ? Math.max(1, roundHalfEven(image.height * largestRatio)) : image.width;
  const height = proportion < leastRatio ? Math.max(1, roundHalfEven(image.width / leastRatio)) : image.height;
  return { width, height, left: Math.floor((image.width - width) / 2), top: Math.floor((image.height - height) / 2) };
}

/** Bits behind the point of Pillow's weights: 32 − 8 of a pixel − 2 to spare. */
const WEIGHT_BITS = 22;

/**
 * Cuts a rectangle out of an image and resizes it to a square of a batch, bit for bit as Pillow's `crop(…).resize(…, BILINEAR)`: a triangle
 * widened when shrinking, first along the rows, then down the columns, each rounded to bytes from weights of 22 bits. (Pillow 13 takes the columns
 * first for some boxes: some values are then one level apart.)
 * @param target receives `[size, size, 3]` bytes at `offset`
 */
export function resizedCropInto(
  target: Uint8Array, offset: number,
  image: { readonly pixels: Uint8Array; readonly width: number; readonly height: number },
  box: Box, size: number, flip: boolean,
): void {
  if (box.left < 0 || box.top < 0 || box.left + box.width > image.width || box.top + box.height > image.height || target.length < offset + size * size * 3) {
    throw new RangeError(`a rectangle of ${box.width} × ${box.height} at (${box.left}, ${box.top}) does not lie inside the image, or the batch is too short`);
  }
  const { pixels } = image;
  const across = triangleTaps(box.width, size);
  const down = triangleTaps(box.height, size);
  const half = 1 << (WEIGHT_BITS - 1);
  const rows = new Uint8Array(box.height * size * 3);
  for (let y = 0; y < box.height; y++) {
    const start = ((box.top + y) * image.width + box.left) * 3;
    for (let x = 0; x < size; x++) {
      const taps = across[x] as Taps;
      let [red, green, blue] = [half, half, half];
      let at = start + taps.first * 3;
      for (const weight of taps.weights) {
        red += (pixels[at] as number) * weight;
        green += (pixels[at + 1] as number) * weight;
        blue += (pixels[at + 2] as number) * weight;
        at += 3;
      }
      const to = (y * size + x) * 3;
      rows[to] = clamped(red);
      rows[to + 1] = clamped(green);
      rows[to + 2] = clamped(blue);
    }
  }
  for (let y = 0; y < size; y++) {
    const taps = down[y] as Taps;
    for (let x = 0; x < size; x++) {
      let [red, green, blue] = [half, half, half];
      let at = (taps.first * size + x) * 3;
      for (const weight of taps.weights) {
        red += (rows[at] as number) * weight;
        green += (rows[at + 1] as number) * weight;
        blue += (rows[at + 2] as number) * weight;
        at += size * 3;
      }
      const to = offset + (y * size + (flip ? size - 1 - x : x)) * 3;
      target[to] = clamped(red);
      target[to + 1] = clamped(green);
      target[to + 2] = clamped(blue);
    }
  }
}

/** What an output pixel is made of: input pixels from `first` on, by whole-number weights. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

function triangleTaps(from: number, to: number): Taps[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - stretch + 0.5));
    const end = Math.min(from, Math.floor(centre + stretch + 0.5));
    const raw = Array.from({ length: end - first }, (_, tap) => Math.max(0, 1 - Math.abs((first + tap - centre + 0.5) * (1 / stretch))));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: Int32Array.from(raw, (weight) => Math.floor(0.5 + (weight / sum) * (1 << WEIGHT_BITS))) };
  });
}

function clamped(sum: number): number {
  return Math.min(255, Math.max(0, sum >> WEIGHT_BITS));
}

/** Python's round. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}
