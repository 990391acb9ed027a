// Axes that don't move while a run goes on: the epochs are all there from the start, and a y range is chosen once and only widens.

export interface Axis {
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

/** Tolerance for sums of tenths. */
const EPSILON = 1e-9;

/** 1, a few round epochs, and the last. */
export function epochTicks(epochs: number): number[] {
  if (epochs <= 1) return [1];
  const step = [1, 2, 5, 10, 20, 50, 100].find((candidate) => epochs / candidate <= 5) ?? 200;
  const inner = Array.from({ length: Math.floor(epochs / step) }, (_, index) => (index + 1) * step);
  return [1, ...inner.filter((tick) => tick > 1 && tick <= epochs - step * 0.6), epochs];
}

/** The left and right end of the epoch axis; a run of one epoch stands in the middle. */
export function epochRange(epochs: number): readonly [number, number] {
  return epochs <= 1 ? [0.5, 1.5] : [1, epochs];
}

const steps = (value: number, step: number) => Math.floor(value / step + EPSILON);
const rounded = (value: number) => Math.round(value * 1e6) / 1e6;

/**
 * An accuracy axis up to 1: from a tenth below the share that always saying the largest class would get, or lower where a value needs it.
 * `previous` is the axis drawn so far; the answer never hides any of it.
 */
export function accuracyAxis(previous: Axis | undefined, baseline: number | undefined, values: readonly number[]): Axis {
  const start = baseline === undefined ? 0.4 : Math.max(0, steps(baseline, 0.1) * 0.1 - 0.1);
  const lowest = values.reduce((least, value) => Math.min(least, steps(value, 0.1) * 0.1), 1);
  const wanted = rounded(Math.min(previous?.min ?? start, lowest, 0.9));
  const span = rounded(1 - wanted);
  if (span > 0.7) return { min: rounded(steps(wanted, 0.2) * 0.2), max: 1, step: 0.2 };
  return { min: wanted, max: 1, step: span <= 0.3 ? 0.05 : 0.1 };
}

/** Largest value of the axis → distance of its ticks, for a leading digit. */
const LOSS_STEPS: readonly (readonly [top: number, step: number])[] = [[1, 0.2], [2, 0.5], [3, 0.5], [4, 1], [5, 1], [6, 1], [8, 2], [10, 2]];

/** A loss axis from 0: at first up to what guessing costs (ln of the classes, at least 1), then as far as a value needs. */
export function lossAxis(previous: Axis | undefined, classes: number, values: readonly number[]): Axis {
  const wanted = values.reduce((most, value) => Math.max(most, value), Math.max(1, Math.log(Math.max(classes, 1)), previous?.max ?? 0));
  const power = 10 ** Math.floor(Math.log10(wanted) + EPSILON);
  const [top, step] = LOSS_STEPS.find(([candidate]) => candidate * power >= wanted * (1 - EPSILON)) ?? [10, 2];
  return { min: 0, max: rounded(top * power), step: rounded(step * power) };
}

/** Every tick of an axis, ends included. */
export function axisTicks({ min, max, step }: Axis): number[] {
  return Array.from({ length: Math.round((max - min) / step) + 1 }, (_, index) => rounded(min + index * step));
}

/** `.5`, `.85`, `0`, `1.0`. */
export function accuracyTick(value: number): string {
  if (value < EPSILON) return '0';
  if (value > 1 - EPSILON) return '1.0';
  const text = value.toFixed(2).slice(1);
  return text.endsWith('0') ? text.slice(0, -1) : text;
}

/** `0`, `0.2`, `1.0`, `20`. */
export function lossTick(value: number, step: number): string {
  if (value === 0) return '0';
  return step < 1 ? value.toFixed(1) : value >= 1e5 ? value.toExponential(0) : String(value);
}

/** The scale on which intervals are drawn beside each other: the narrowest of three that holds every value. */
export function intervalAxis(values: readonly number[]): Axis {
  const lowest = Math.min(1, ...values);
  if (lowest >= 0.8) return { min: 0.8, max: 1, step: 0.05 };
  if (lowest >= 0.5) return { min: 0.5, max: 1, step: 0.1 };
  return { min: 0, max: 1, step: 0.2 };
}
