// Numbers as Thaw writes them, in the panel, the trees, the notifications and the terminal alike.

/** What stands where there is no number: an en dash. */
export const MISSING = '–';
const MINUS = '−';

/** Accuracy, precision, recall, F1, confidence: `.954`, `1.000`. */
export function formatAccuracy(value: number | undefined): string {
  return present(value) ? withoutLeadingZero(value, 3) : MISSING;
}

/** `[.909–.978]` */
export function formatInterval(interval: readonly [number, number] | undefined): string {
  return interval !== undefined && present(interval[0]) && present(interval[1])
    ? `[${formatAccuracy(interval[0])}–${formatAccuracy(interval[1])}]` : MISSING;
}

/** A difference of two accuracies: `+.007`, `−.020`, and `.000` without a sign. */
export function formatDifference(value: number | undefined): string {
  if (!present(value)) return MISSING;
  const size = withoutLeadingZero(Math.abs(value), 3);
  return size === '.000' ? size : `${value < 0 ? MINUS : '+'}${size}`;
}

/** `p = .41`, `p = .047`, `p < .001`, `p = 1.00` */
export function formatP(p: number | undefined): string {
  return `p ${present(p) && p >= 0.001 ? '= ' : ''}${formatPValue(p)}`;
}

/** Where a heading says that it is a p: `.41`, `.047`, `< .001`, `1.00` */
export function formatPValue(p: number | undefined): string {
  if (!present(p)) return MISSING;
  return p < 0.001 ? '< .001' : withoutLeadingZero(p, p < 0.1 ? 3 : 2);
}

/** Cross-entropy, nats: `0.211` */
export function formatLoss(value: number | undefined): string {
  return present(value) ? value.toFixed(3).replace('-', MINUS) : MISSING;
}

/** A share of a count: `61%` */
export function formatShare(share: number | undefined): string {
  return present(share) ? `${String(Math.round(share * 100))}%` : MISSING;
}

/** Seconds as `0:27` or `1:02:10`. */
export function formatClock(seconds: number | undefined): string {
  if (!present(seconds) || seconds < 0) return MISSING;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${formatCount(hours)}:${two(minutes)}:${two(rest)}` : `${String(minutes)}:${two(rest)}`;
}

/** Images a second: `138 img/s`, below 100 `87.4 img/s`. */
export function formatSpeed(imagesPerSecond: number | undefined): string {
  return present(imagesPerSecond) ? `${oneDecimalBelow100(imagesPerSecond)} img/s` : MISSING;
}

/** A very small number: `1.5e−7`, and `0`. */
export function formatScientific(value: number | undefined): string {
  if (!present(value)) return MISSING;
  return value === 0 ? '0' : value.toExponential(1).replaceAll('-', MINUS);
}

/** `15,638` */
export function formatCount(count: number | undefined): string {
  if (!present(count)) return MISSING;
  const digits = String(Math.abs(Math.round(count))).replace(/\B(?=(?:\d{3})+$)/g, ',');
  return Math.round(count) < 0 ? MINUS + digits : digits;
}

/** Numbers of parameters: `11.2 M`, below a million `2,562`. */
export function formatParameters(count: number | undefined): string {
  return present(count) && count >= 1e6 ? `${(count / 1e6).toFixed(1)} M` : formatCount(count);
}

/** Bytes of memory or disk: `1.9 GiB`, `120 MiB`, `87.4 MiB`, `512 B`. */
export function formatBytes(bytes: number | undefined): string {
  if (!present(bytes) || bytes < 0) return MISSING;
  let value = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    // Rounded first: 1,023.9 MiB is 1.0 GiB.
    if (Math.round(value) < 1024) return `${unit === 'B' ? formatCount(value) : oneDecimalBelow100(value)} ${unit}`;
    value /= 1024;
  }
  return `${oneDecimalBelow100(value)} TiB`;
}

function oneDecimalBelow100(value: number): string {
  const decimal = value.toFixed(1);
  return Number(decimal) < 100 ? decimal.replace('-', MINUS) : formatCount(value);
}

function withoutLeadingZero(value: number, decimals: number): string {
  return value.toFixed(decimals).replace('-', MINUS).replace(/^(−?)0\./, '$1.');
}

function present(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}
