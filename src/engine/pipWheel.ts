// Wheels from the Python package index, by the pip that is on the machine: so its mirrors, proxies and certificates are the person's own.
// What arrives is a file whose version and SHA-256 are pinned, or an error that says what to do.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as yauzl from 'yauzl';
import { ThawError } from '../protocol/errors.js';
import { crc32 } from '../storage/crc32.js';
import { filesBelow } from '../storage/filesBelow.js';
import { ownedName, removeAbandoned } from '../storage/leftovers.js';
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
  /** A folder of wheels that were fetched elsewhere: the wheel is taken from there, checked and not copied, and pip is not asked. */
  readonly from?: string | undefined;
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

/** pip works in folders of this name; what a killed one had got is rescued by the next fetch. */
const WORK_PREFIX = '.pip-';
/** What has come of a wheel so far, and beside it, with `.url`, where from. */
const PARTIAL = '.part';

/**
 * Runs in Python in front of pip and of the resuming: the process ends when the one that started it is gone (its standard input ends), however
 * that ended. Else pip would go on after a `kill -9`.
 */
const ENDS_WITH_PARENT = 'import os, sys, threading\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()\n';
const RUN_PIP = `${ENDS_WITH_PARENT}import runpy\nsys.argv = ["pip"] + sys.argv[1:]\nrunpy.run_module("pip", run_name="__main__", alter_sys=True)\n`;
/** Arguments: URL, file, whole size. Exit code 5: the server gives no parts. */
const RESUME = `${ENDS_WITH_PARENT}import ssl, urllib.request
url, file, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = os.path.getsize(file)
context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE") or None)
request = urllib.request.Request(url, headers={"Range": "bytes=%d-" % start, "Accept-Encoding": "identity", "User-Agent": "thaw"})
with urllib.request.urlopen(request, timeout=20, context=context) as response, open(file, "ab") as out:
    if response.status != 206 or not response.headers.get("Content-Range", "").startswith("bytes %d-" % start):
        os._exit(5)
    while True:
        chunk = response.read(1 << 18)
        if not chunk:
            break
        out.write(chunk)
        if out.tell() > size:
            os._exit(5)
os._exit(0 if os.path.getsize(file) == size else 6)
`;

/**
 * Fetches a wheel into a folder, or finds it there, and checks its SHA-256. Interrupted at any moment it leaves no file by the wheel's name; what
 * had come of it is kept (`<file>.part`), and the next fetch goes on from there where the server gives parts of a file, else from the start.
 * Needs the wheel's size twice while it works: pip copies what it has downloaded.
 * @returns the wheel's path
 * @throws ThawError of kind `engine`: `no-python`, `no-pip`, `no-network`, `not-on-index`, `wheel-not-there`, `wheel-damaged`, `old-glibc`,
 *   `disk-full`, `cancelled`, `pip-failed`
 */
export async function fetchWheel(spec: WheelSpec, options: FetchOptions): Promise<string> {
  const { folder, signal, onProgress } = options;
  const environment = pipEnvironment(options.environment ?? process.env);
  const what = `${spec.project} ${spec.version}`;
  if (spec.platforms !== 'any') checkGlibc(spec.platforms, what);
  const target = path.join(folder, spec.file);
  let temporary: string | undefined;
  let arrived = false;
  try {
    if (options.from !== undefined) return await wheelFrom(options.from, spec, what, signal);
    await mkdir(folder, { recursive: true });
    await removeAbandoned(folder, WORK_PREFIX, (abandoned) => rescue(abandoned, folder));
    if (await fileSize(target) === spec.bytes && await sha256OfFile(target, signal) === spec.sha256) return target;
    await requireSpace(folder, 2 * spec.bytes, `to fetch ${what}`);
    const work = temporary = path.join(folder, ownedName(WORK_PREFIX));
    const downloads = path.join(work, 'wheel');
    const scratch = path.join(work, 'tmp');
    await mkdir(scratch, { recursive: true });
    const python = await findPython(environment, work, signal);
    const pip: PipOptions = {
      cwd: work,
      environment: { ...environment, TMPDIR: scratch, TEMP: scratch, TMP: scratch, LC_ALL: 'C.UTF-8' }, // its errors in English
      signal,
      report: async () => { onProgress?.({ what, doneBytes: Math.min(spec.bytes, await largestFile(work)), totalBytes: spec.bytes }); },
      what,
    };
    const resumed = await resume(spec, folder, work, python, pip);
    if (resumed !== undefined) {
      await rename(resumed, target);
      arrived = true;
      onProgress?.({ what, doneBytes: spec.bytes, totalBytes: spec.bytes });
      return target;
    }
    onProgress?.({ what, doneBytes: 0, totalBytes: spec.bytes });
    await runPip([...python, ...pipArguments(spec, downloads, path.join(work, LOG))], pip);
    const downloaded = path.join(downloads, spec.file);
    const size = await fileSize(downloaded);
    if (size === undefined) {
      throw new ThawError('engine', 'wheel-damaged', `The package index gave another file for ${what} than ${spec.file}`, 'Check which index pip is set to use (pip config list), then set up again');
    }
    if (await sha256OfFile(downloaded, signal) !== spec.sha256) {
      throw new ThawError('engine', 'wheel-damaged', `${spec.file} arrived damaged or changed: its SHA-256 is not the pinned one`, 'Set up again; if it stays, check the package index and the proxy that pip uses');
    }
    await rename(downloaded, target);
    arrived = true;
    await removePartial(folder, spec);
    onProgress?.({ what, doneBytes: spec.bytes, totalBytes: spec.bytes });
    return target;
  } catch (error) {
    throw asFetchError(error, what, folder, signal);
  } finally {
    if (temporary !== undefined) {
      if (!arrived) await rescue(temporary, folder).catch(() => undefined); // a part that is lost only costs its download
      await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}

/** @throws ThawError `wheel-not-there`, `wheel-damaged` */
async function wheelFrom(from: string, spec: WheelSpec, what: string, signal: AbortSignal | undefined): Promise<string> {
  const file = path.join(from, spec.file);
  const size = await fileSize(file);
  if (size === undefined) {
    throw new ThawError('engine', 'wheel-not-there', `${from} holds no ${spec.file}`, `Fetch it where there is a network: python3 -m pip download --no-deps --only-binary=:all: ${[...platformArguments(spec), `${spec.project}==${spec.version}`].join(' ')}`);
  }
  if (size !== spec.bytes || await sha256OfFile(file, signal) !== spec.sha256) {
    throw new ThawError('engine', 'wheel-damaged', `${file} is not ${what} as Thaw pins it: ${size === spec.bytes ? 'its SHA-256 is another' : `it has ${size} bytes instead of ${spec.bytes}`}`, 'Fetch it again, and copy it whole');
  }
  return file;
}

/** Removes what is kept of a wheel that came only in part. */
export async function removePartial(folder: string, spec: Pick<WheelSpec, 'file'>): Promise<void> {
  for (const name of [spec.file + PARTIAL, `${spec.file}${PARTIAL}.url`]) await rm(path.join(folder, name), { force: true });
}

/** Keeps what pip, or the resuming, had got of a wheel when it ended: the larger of this and what was kept before. */
async function rescue(work: string, folder: string): Promise<void> {
  for await (const name of filesBelow(work)) {
    const file = path.join(work, name);
    const base = path.basename(name);
    const own = base.endsWith(`.whl${PARTIAL}`);
    if (!own && !(base.endsWith('.whl') && name.startsWith(`tmp${path.sep}`))) continue;
    const wheel = own ? base.slice(0, -PARTIAL.length) : base;
    const kept = path.join(folder, wheel + PARTIAL);
    const size = await fileSize(file) ?? 0;
    const url = await urlOf(work, wheel);
    if (size === 0 || url === undefined || size <= (await fileSize(kept) ?? 0)) continue;
    await writeFile(`${kept}.url`, url);
    await rename(file, kept);
  }
}

/** Where a wheel comes from, as pip's log or the kept note says. */
async function urlOf(work: string, wheel: string): Promise<string | undefined> {
  const note = await readFile(path.join(work, `${wheel}${PARTIAL}.url`), 'utf8').catch(() => undefined); // there only where it was resumed
  const text = note ?? (await readFile(path.join(work, LOG), 'utf8').catch(() => '')).split('\n').map((line) => /Found link (\S+)/.exec(line)?.[1]).find((link) => link?.split('#')[0]?.endsWith(`/${encodeURI(wheel)}`) === true);
  return note === undefined && text === undefined ? undefined : /^https?:\/\/\S+$/.exec((text ?? '').trim())?.[0].split('#')[0];
}

/** Goes on with a wheel that came only in part; undefined when there is none, or it can't be gone on with: then pip fetches it whole. */
async function resume(spec: WheelSpec, folder: string, work: string, python: readonly [string, ...string[]], pip: PipOptions): Promise<string | undefined> {
  const kept = path.join(folder, spec.file + PARTIAL);
  const size = await fileSize(kept);
  if (size === undefined) return undefined;
  const file = path.join(work, spec.file + PARTIAL);
  try { // into this process's own folder: two must not write to one file
    await rename(kept, file);
    await rename(`${kept}.url`, `${file}.url`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // another set-up has taken it
  }
  const url = await urlOf(work, spec.file);
  try {
    if (url !== undefined && size < spec.bytes) await runPip([...python, '-I', '-c', RESUME, url, file, String(spec.bytes)], pip);
    if (await fileSize(file) === spec.bytes && await sha256OfFile(file, pip.signal) === spec.sha256) return file;
  } catch (error) {
    if (pip.signal?.aborted === true) throw error;
    // Without a network the part stays for the next time; pip, which is asked now, says what is wrong.
    if (await fileSize(file) !== spec.bytes) return undefined;
  }
  await rm(file, { force: true });
  return undefined;
}

const LOG = 'pip.log';

/** `pip download` of exactly one wheel: nothing is built, no dependency followed, no Python of this machine asked for its tags. */
function pipArguments(spec: WheelSpec, folder: string, log?: string): string[] {
  return [
    '-I', '-c', RUN_PIP, 'download', '--no-deps', '--only-binary=:all:',
    // pip's cache would keep a second copy of what we keep unpacked.
    '--no-cache-dir', '--no-input', '--disable-pip-version-check', '--progress-bar=off', '--retries=2', '--timeout=20',
    ...platformArguments(spec),
    ...(log === undefined ? [] : [`--log=${log}`]), // which URL it takes stands there alone
    `--dest=${folder}`, `${spec.project}==${spec.version}`,
  ];
}

function platformArguments({ platforms }: WheelSpec): string[] {
  return platforms === 'any' ? [] : ['--implementation=cp', '--python-version=3.12', '--abi=cp312', ...platforms.map((tag) => `--platform=${tag}`)];
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

/** The Python that would fetch, `3.11.7, pip 23.2.1`. @throws ThawError `no-python`, `no-pip` */
export async function describePython(environment: NodeJS.ProcessEnv): Promise<string> {
  const clean = pipEnvironment(environment);
  const cwd = os.tmpdir();
  const [command, ...args] = await findPython(clean, cwd, undefined);
  return new Promise((resolve) => {
    const code = 'import sys, pip; print("%d.%d.%d, pip %s" % (sys.version_info[:3] + (pip.__version__,)))';
    execFile(command, [...args, '-I', '-c', code], { cwd, env: clean, timeout: 20_000, windowsHide: true }, (error, stdout) => { resolve(error === null ? stdout.trim() : 'of unknown version'); });
  });
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
  const child = spawn(program, args, { cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe'], detached: grouped, windowsHide: true });
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
  for await (const name of filesBelow(folder)) {
    const found = await stat(path.join(folder, name)).catch(() => undefined); // moved by pip meanwhile
    if (found !== undefined) largest = Math.max(largest, found.size);
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
        if (content.bytes !== entry.uncompressedSize || content.crc !== entry.crc32) throw damaged(wheel, `${entry.fileName} has another checksum than the archive says`);
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
  crc = 0;
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
    this.crc = crc32(chunk, this.crc);
    this.onBytes(chunk.length);
    done(null, chunk);
  }

  sha256(): string {
    return this.hash.digest('hex');
  }
}

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
