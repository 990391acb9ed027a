// Wheels from the Python package index, by the pip that is on the machine: so its mirrors, proxies and certificates are the person's own.
// What arrives is a file whose version and SHA-256 are pinned, or an error that says what to do.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import * as yauzl from 'yauzl';
import { ThawError } from '../protocol/errors.js';
import { checkGlibc } from './glibc.js';

export interface WheelSpec {
  /** Name on the index: `tensorflow-cpu`. */
  readonly project: string;
  readonly version: string;
  /** The wheel's file name, its tags included. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  /** pip's platform tags, or `any` for a wheel without machine code. */
  readonly platforms: readonly string[] | 'any';
}

export interface DownloadProgress {
  /** `tensorflow-cpu 2.21.0` */
  readonly what: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface FetchOptions {
  /** Where the wheel is put; created when missing. pip runs in a new folder inside it. */
  readonly folder: string;
  readonly onProgress?: (report: DownloadProgress) => void;
  readonly signal?: AbortSignal;
  readonly environment?: NodeJS.ProcessEnv;
}

const PROGRESS_INTERVAL_MS = 250;
const KILL_AFTER_MS = 2000;
const MEBIBYTE = 1024 ** 2;

/** What pip gets to see: how to reach an index, and nothing that changes what Python runs. */
const PASSED_ON = new Set([
  'PATH', 'HOME', 'USERPROFILE', 'SYSTEMROOT', 'APPDATA', 'LOCALAPPDATA', 'PROGRAMDATA',
  'XDG_CONFIG_HOME', 'XDG_CONFIG_DIRS', 'NETRC', 'PYENV_ROOT', 'PYENV_VERSION',
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE',
  'PIP_CONFIG_FILE', 'PIP_INDEX_URL', 'PIP_EXTRA_INDEX_URL', 'PIP_FIND_LINKS', 'PIP_NO_INDEX', 'PIP_TRUSTED_HOST', 'PIP_CERT', 'PIP_CLIENT_CERT',
  'PIP_PROXY', 'PIP_KEYRING_PROVIDER', 'PIP_DEFAULT_TIMEOUT',
]);

/** Ways to start Python 3, in the order they are tried. */
const PYTHONS: readonly (readonly [string, ...string[]])[] = process.platform === 'win32' ? [['py', '-3'], ['python3'], ['python']] : [['python3'], ['python']];

/**
 * Fetches a wheel into a folder, or finds it there, and checks its SHA-256. Interrupted at any moment it leaves no file by the wheel's name.
 * Needs the wheel's size twice while it works: pip copies what it has downloaded.
 * @returns the wheel's path
 * @throws ThawError of kind `engine`: `no-python`, `no-pip`, `no-network`, `not-on-index`, `wheel-damaged`, `old-glibc`, `disk-full`,
 *   `cancelled`, `pip-failed`
 */
export async function fetchWheel(spec: WheelSpec, options: FetchOptions): Promise<string> {
  const { folder, signal, onProgress } = options;
  const environment = pipEnvironment(options.environment ?? process.env);
  const what = `${spec.project} ${spec.version}`;
  if (spec.platforms !== 'any') checkGlibc(spec.platforms, what);
  const target = path.join(folder, spec.file);
  let temporary: string | undefined;
  try {
    await mkdir(folder, { recursive: true });
    if (await fileSize(target) === spec.bytes && await sha256OfFile(target, signal) === spec.sha256) return target;
    await requireSpace(folder, 2 * spec.bytes, `to fetch ${what}`);
    temporary = await mkdtemp(path.join(folder, '.pip-'));
    const downloads = path.join(temporary, 'wheel');
    const scratch = path.join(temporary, 'tmp');
    await mkdir(scratch);
    const python = await findPython(environment, temporary, signal);
    const report = async (): Promise<void> => {
      onProgress?.({ what, doneBytes: Math.min(spec.bytes, await largestFile(temporary ?? folder)), totalBytes: spec.bytes });
    };
    onProgress?.({ what, doneBytes: 0, totalBytes: spec.bytes });
    await runPip([...python, ...pipArguments(spec, downloads)], {
      cwd: temporary,
      environment: { ...environment, TMPDIR: scratch, TEMP: scratch, TMP: scratch, LC_ALL: 'C.UTF-8' }, // its errors in English
      signal,
      report,
      what,
    });
    const downloaded = path.join(downloads, spec.file);
    const size = await fileSize(downloaded);
    if (size === undefined) {
      throw new ThawError('engine', 'wheel-damaged', `The package index gave another file for ${what} than ${spec.file}`, 'Check which index pip is set to use (pip config list), then set up again');
    }
    if (await sha256OfFile(downloaded, signal) !== spec.sha256) {
      throw new ThawError('engine', 'wheel-damaged', `${spec.file} arrived damaged or changed: its SHA-256 is not the pinned one`, 'Set up again; if it stays, check the package index and the proxy that pip uses');
    }
    await rename(downloaded, target);
    onProgress?.({ what, doneBytes: spec.bytes, totalBytes: spec.bytes });
    return target;
  } catch (error) {
    throw asFetchError(error, what, folder, signal);
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** `pip download` of exactly one wheel: nothing is built, no dependency followed, no Python of this machine asked for its tags. */
function pipArguments(spec: WheelSpec, folder: string): string[] {
  return [
    '-I', '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:',
    // pip's cache would keep a second copy of what we keep unpacked.
    '--no-cache-dir', '--no-input', '--disable-pip-version-check', '--progress-bar=off', '--retries=2', '--timeout=20',
    ...(spec.platforms === 'any' ? [] : ['--implementation=cp', '--python-version=3.12', '--abi=cp312', ...spec.platforms.map((tag) => `--platform=${tag}`)]),
    `--dest=${folder}`, `${spec.project}==${spec.version}`,
  ];
}

/** The variables that pip is started with. Folders of PATH that are relative are dropped: they would lead into the working directory. */
export function pipEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const passed = Object.entries(environment).filter(([name]) => PASSED_ON.has(name.toUpperCase()));
  const result: NodeJS.ProcessEnv = Object.fromEntries(passed);
  for (const name of Object.keys(result)) {
    if (name.toUpperCase() === 'PATH') result[name] = (result[name] ?? '').split(path.delimiter).filter((entry) => path.isAbsolute(entry)).join(path.delimiter);
  }
  return result;
}

/** A Python that is at least 3.8 and has pip. */
async function findPython(environment: NodeJS.ProcessEnv, cwd: string, signal: AbortSignal | undefined): Promise<readonly [string, ...string[]]> {
  let withoutPip: string | undefined;
  for (const python of PYTHONS) {
    signal?.throwIfAborted();
    const [command, ...args] = python;
    const answer = await new Promise<'ok' | 'no pip' | 'none'>((resolve) => {
      const code = 'import sys, importlib.util as u; sys.exit(3 if sys.version_info < (3, 8) else 4 if u.find_spec("pip") is None else 0)';
      execFile(command, [...args, '-I', '-c', code], { cwd, env: environment, timeout: 20_000, windowsHide: true }, (error) => {
        resolve(error === null ? 'ok' : error.code === 4 ? 'no pip' : 'none');
      });
    });
    if (answer === 'ok') return python;
    if (answer === 'no pip') withoutPip ??= python.join(' ');
  }
  if (withoutPip !== undefined) {
    throw new ThawError('engine', 'no-pip', `Python (${withoutPip}) has no pip, which fetches TensorFlow and the weights`, 'Install pip (Debian and Ubuntu: apt install python3-pip), then set up again');
  }
  throw new ThawError('engine', 'no-python', 'Python 3.8 or newer is not on this machine; its pip fetches TensorFlow and the weights', 'Install Python 3 with pip (Debian and Ubuntu: apt install python3-pip), then set up again');
}

interface PipOptions {
  readonly cwd: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
  readonly what: string;
  readonly report: () => Promise<void>;
}

async function runPip(command: readonly string[], { cwd, environment, signal, report, what }: PipOptions): Promise<void> {
  signal?.throwIfAborted();
  const [program, ...args] = command;
  if (program === undefined) throw new Error('no command');
  const grouped = process.platform !== 'win32';
  const child = spawn(program, args, { cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: grouped, windowsHide: true });
  let output = '';
  const gather = (chunk: Buffer): void => { output = (output + chunk.toString('utf8')).slice(-64 * 1024); };
  child.stdout.on('data', gather);
  child.stderr.on('data', gather);
  let reporting = Promise.resolve();
  const timer = setInterval(() => { reporting = reporting.then(report).catch(() => undefined); }, PROGRESS_INTERVAL_MS); // a file that is gone by now: the next tick knows
  let killTimer: NodeJS.Timeout | undefined;
  const cancel = (): void => {
    killGroup(child, 'SIGTERM', grouped);
    killTimer = setTimeout(() => { killGroup(child, 'SIGKILL', grouped); }, KILL_AFTER_MS);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode) => { resolve(exitCode); });
    });
    signal?.throwIfAborted();
    if (code !== 0) throw pipError(output, code, what);
  } finally {
    clearInterval(timer);
    clearTimeout(killTimer);
    signal?.removeEventListener('abort', cancel);
    await reporting;
  }
}

/** pip runs helpers of its own: all of its group ends. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals, grouped: boolean): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    if (grouped) process.kill(-child.pid, signal);
    else child.kill(signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ended just now
  }
}

/** What went wrong, from pip's words. */
export function pipError(output: string, code: number | null, what: string): ThawError {
  const last = output.split('\n').map((line) => line.trim()).filter((line) => /^(?:ERROR|error):?/.test(line)).at(-1)?.replace(/^error:?\s*/i, '') ?? `pip ended with ${code ?? 'a signal'}`;
  const options = { cause: new Error(output.slice(-4000)) };
  if (/No module named pip/.test(output)) {
    return new ThawError('engine', 'no-pip', 'Python has no pip, which fetches TensorFlow and the weights', 'Install pip (Debian and Ubuntu: apt install python3-pip), then set up again', options);
  }
  if (/No space left on device|Errno 28|ENOSPC|Disk quota exceeded|Errno 122/.test(output)) {
    return new ThawError('engine', 'disk-full', `The disk filled up while ${what} was fetched`, 'Free some space, or set THAW_HOME to a folder on another disk, then set up again', options);
  }
  if (/NewConnectionError|NameResolutionError|Name or service not known|Temporary failure in name resolution|ConnectTimeout|ReadTimeout|Read timed out|Network is unreachable|Connection (?:refused|reset|aborted)|ProxyError|ProtocolError|SSLError|CERTIFICATE_VERIFY_FAILED|incomplete-download/.test(output)) {
    return new ThawError('engine', 'no-network', `${what} could not be fetched: the package index can't be reached (${shortened(networkCause(output))})`, 'Check the network and proxy (HTTPS_PROXY, pip config list), then set up again', options);
  }
  if (/No matching distribution found|Could not find a version/.test(output)) {
    return new ThawError('engine', 'not-on-index', `The package index that pip uses has no ${what} for this platform`, 'Ask whoever runs the mirror for it, or let pip use PyPI (pip config list shows its index), then set up again', options);
  }
  return new ThawError('engine', 'pip-failed', `pip could not fetch ${what}: ${shortened(last)}`, 'Set up again; `thaw doctor` shows what is missing', options);
}

function networkCause(output: string): string {
  return /(?:Name or service not known|Temporary failure in name resolution|Network is unreachable|Connection (?:refused|reset|aborted)|[Tt]imed out|CERTIFICATE_VERIFY_FAILED|Tunnel connection failed[^'")]*)/.exec(output)?.[0] ?? 'no connection';
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** Errors of files and of cancelling, as sentences. Everything else stays what it is. */
function asFetchError(error: unknown, what: string, folder: string, signal: AbortSignal | undefined): unknown {
  if (error instanceof ThawError) return error;
  if (signal?.aborted === true) return new ThawError('engine', 'cancelled', `Fetching ${what} was cancelled`, 'Set up again when you like: nothing half-finished is left', { cause: error });
  return asStorageError(error, folder) ?? error;
}

/** A full disk or a folder that can't be written, as a sentence; undefined for any other error. */
export function asStorageError(error: unknown, folder: string): ThawError | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ThawError('engine', 'disk-full', `The disk that holds ${folder} is full`, 'Free some space, or set THAW_HOME to a folder on another disk, then set up again', { cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR') {
    return new ThawError('engine', 'cache-not-writable', `Thaw can't write in ${folder}: ${message}`, 'Make the folder writable, or set THAW_HOME to another one, then set up again', { cause: error });
  }
  return undefined;
}

/** @throws ThawError `disk-full` when less than `bytes` is free where `folder` lies */
export async function requireSpace(folder: string, bytes: number, purpose: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const mebibytes = (count: number): string => `${Math.ceil(count / MEBIBYTE)} MiB`;
  throw new ThawError('engine', 'disk-full', `${folder} has ${mebibytes(free)} free; ${mebibytes(bytes)} are needed ${purpose}`, 'Free some space, or set THAW_HOME to a folder on another disk, then set up again');
}

async function fileSize(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Size of the largest file below a folder: the download, wherever pip keeps it. */
async function largestFile(folder: string): Promise<number> {
  let largest = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    const found = await stat(path.join(folder, name)).catch(() => undefined); // moved by pip meanwhile
    if (found?.isFile() === true) largest = Math.max(largest, found.size);
  }
  return largest;
}

/** In hexadecimal; reads the file piece by piece. */
export async function sha256OfFile(file: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: MEBIBYTE, ...(signal !== undefined && { signal }) })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export interface ExtractedFile {
  /** Path inside the wheel. */
  readonly entry: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Unpacks chosen files of a wheel, one after the other, never whole in memory. A name inside the wheel never becomes a path: `wanted` maps
 * each entry to the file that it is written to, or to undefined. Each file is new (an existing one is an error), complete and on the disk.
 * @param options.maxBytes the largest unpacked size that is accepted for one file; default 2 GiB
 * @throws ThawError `wheel-damaged`, `disk-full`, `cancelled`
 */
export async function extractFromWheel(
  wheel: string,
  wanted: (entry: string) => string | undefined,
  options: { maxBytes?: number; onProgress?: (doneBytes: number) => void; signal?: AbortSignal } = {},
): Promise<ExtractedFile[]> {
  const { maxBytes = 2 * 1024 ** 3, onProgress, signal } = options;
  const extracted: ExtractedFile[] = [];
  let done = 0;
  try {
    const zip = await openZip(wheel);
    try {
      for (let entry = await nextEntry(zip); entry !== undefined; entry = await nextEntry(zip)) {
        signal?.throwIfAborted();
        const file = entry.fileName.endsWith('/') ? undefined : wanted(entry.fileName);
        if (file === undefined) continue;
        if (entry.uncompressedSize > maxBytes) throw damaged(wheel, `${entry.fileName} would be ${entry.uncompressedSize} bytes`);
        const content = new Checked(maxBytes, (count) => { done += count; onProgress?.(done); });
        await mkdir(path.dirname(file), { recursive: true });
        await pipeline(await openEntry(zip, entry), content, createWriteStream(file, { flags: 'wx' }), { ...(signal !== undefined && { signal }) });
        if (content.bytes !== entry.uncompressedSize || (content.crc !== undefined && content.crc !== entry.crc32)) throw damaged(wheel, `${entry.fileName} has another checksum than the archive says`);
        await syncFile(file);
        extracted.push({ entry: entry.fileName, file, bytes: content.bytes, sha256: content.sha256() });
      }
    } finally {
      zip.close();
    }
  } catch (error) {
    if (error instanceof ThawError) throw error;
    if (signal?.aborted === true) throw new ThawError('engine', 'cancelled', `Unpacking ${path.basename(wheel)} was cancelled`, 'Set up again when you like: nothing half-finished is left', { cause: error });
    const { code } = error as NodeJS.ErrnoException;
    throw asStorageError(error, path.dirname(wheel)) ?? (code === undefined || code.startsWith('Z_') ? damaged(wheel, (error as Error).message, error) : error);
  }
  return extracted;
}

/** Counts, hashes and sums up what passes through. */
class Checked extends Transform {
  bytes = 0;
  /** Undefined where Node has no CRC-32 (before 20.15): the wheel's own hash and the size must do. */
  crc = CRC32 === undefined ? undefined : 0;
  private readonly hash = createHash('sha256');

  constructor(private readonly maxBytes: number, private readonly onBytes: (count: number) => void) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null, data?: Buffer) => void): void {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) {
      done(new Error('it unpacks to more than it says'));
      return;
    }
    this.hash.update(chunk);
    if (CRC32 !== undefined) this.crc = CRC32(chunk, this.crc);
    this.onBytes(chunk.length);
    done(null, chunk);
  }

  sha256(): string {
    return this.hash.digest('hex');
  }
}

const CRC32 = (zlib as { crc32?: (data: Buffer, value?: number) => number }).crc32;

function damaged(wheel: string, detail: string, cause?: unknown): ThawError {
  return new ThawError('engine', 'wheel-damaged', `${path.basename(wheel)} can't be unpacked: ${detail}`, 'Set up again: it is fetched anew', { cause });
}

function openZip(file: string): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, { lazyEntries: true, autoClose: false }, (error, zip) => {
      if (error === null) resolve(zip);
      else reject(error);
    });
  });
}

function nextEntry(zip: yauzl.ZipFile): Promise<yauzl.Entry | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      zip.removeListener('entry', onEntry);
      zip.removeListener('end', onEnd);
      zip.removeListener('error', onError);
      act();
    };
    const onEntry = (entry: yauzl.Entry): void => settle(() => { resolve(entry); });
    const onEnd = (): void => settle(() => { resolve(undefined); });
    const onError = (error: Error): void => settle(() => { reject(error); });
    zip.on('entry', onEntry);
    zip.on('end', onEnd);
    zip.on('error', onError);
    zip.readEntry();
  });
}

function openEntry(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error === null) resolve(stream);
      else reject(error);
    });
  });
}

async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
