// Is this system's C library new enough for a wheel? Its platform tag says what it needs.
import { ThawError } from '../protocol/errors.js';

/** This process's glibc, `2.36`; undefined on another C library (musl) or another system. */
export function systemGlibc(): string | undefined {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  report.excludeNetwork = true; // else the report looks up the names of all open connections
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: unknown } };
  return typeof header?.glibcVersionRuntime === 'string' ? header.glibcVersionRuntime : undefined;
}

/**
 * Checks the machine against the tags of a wheel, of which one must fit: `manylinux_2_27_x86_64` needs glibc 2.27. Other tags need none.
 * @param what named in the error: `tensorflow-cpu 2.21.0`
 * @throws ThawError `old-glibc`
 */
export function checkGlibc(platforms: readonly string[], what: string, glibc: string | undefined = process.platform === 'linux' ? systemGlibc() : undefined): void {
  const needed = platforms.map((tag) => /^manylinux_(\d+)_(\d+)_/.exec(tag)).filter((match) => match !== null).map((match) => [Number(match[1]), Number(match[2])] as const);
  if (needed.length === 0 || needed.length < platforms.length) return;
  const [major, minor] = (glibc ?? '').split('.').map(Number);
  if (major !== undefined && minor !== undefined && needed.some(([neededMajor, neededMinor]) => major > neededMajor || (major === neededMajor && minor >= neededMinor))) return;
  const [least] = [...needed].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const version = least === undefined ? '' : least.join('.');
  throw new ThawError(
    'engine',
    'old-glibc',
    `${what} needs glibc ${version} or newer; this system has ${glibc === undefined || glibc === '' ? 'another C library' : `glibc ${glibc}`}`,
    'Use a newer Linux (Debian 10, Ubuntu 18.10, RHEL 8 or later), or a container of one',
  );
}
