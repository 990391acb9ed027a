// Seeded random numbers: the same seed gives the same run, bit for bit.

/** xoshiro128** by Blackman and Vigna (public domain, 2018), seeded by splitmix32 from a seed and a purpose. */
export class SeededRandom {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** `purpose` keeps streams apart: the order of images doesn't change because the head's start was drawn first. */
  constructor(seed: number, purpose: string) {
    let state = seed >>> 0;
    state = Math.imul(state ^ Math.floor(seed / 0x1_0000_0000), 0x9e3779b1) >>> 0;
    for (const character of purpose) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x85ebca6b) >>> 0;
    const splitmix = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    [this.a, this.b, this.c, this.d] = [splitmix(), splitmix(), splitmix(), splitmix() | 1];
  }

  /** A whole number in [0, 2^32). */
  next(): number {
    const result = Math.imul(rotate(Math.imul(this.b, 5), 7), 9) >>> 0;
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = rotate(this.d, 11);
    return result;
  }

  /** In [0, 1), on a grid of 2^-32. */
  uniform(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** A whole number in [0, below), without the bias of a plain remainder. */
  integer(below: number): number {
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % below);
    for (;;) {
      const value = this.next();
      if (value < limit) return value % below;
    }
  }

  /** The numbers 0 to count − 1 in random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    for (let last = count - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      const kept = order[last] ?? 0;
      order[last] = order[other] ?? 0;
      order[other] = kept;
    }
    return order;
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
