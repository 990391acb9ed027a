// Crops and mirror images of stored pixels. Pure: where to cut and whether to mirror is the caller's to draw.

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
