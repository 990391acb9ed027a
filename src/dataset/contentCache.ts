// Decoded pixels and features on disk, by content: what was computed once is read the next time, in whichever window and by whichever run.
//
// One file an entry, in 256 folders by the first digits of its name, the SHA-256 of the key. An entry is a header (magic, CRC-32, length)
// and the data; it is written beside its place and renamed, without fsync: after a power cut the checksum tells, and a damaged entry counts as
// absent. Several processes may read, write, trim and clear at once: at worst an entry is computed again.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, futimesSync, open, openSync, read, readSync, renameSync, statSync, unlinkSync, writev } from 'node:fs';
import { mkdir, readdir, rm, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { crc32 } from '../storage/crc32.js';

/** Making a file takes .7 ms where folders are slow: not in the event loop, which has a network to feed. */
const openAsync = promisify(open);
const readAsync = promisify(read);
const writevAsync = promisify(writev);

export const CACHE_KINDS = ['pixels', 'features'] as const;
export type CacheKind = (typeof CACHE_KINDS)[number];

const MAGIC = 0x31574854; // 'THW1', little-endian
const HEADER_BYTES = 16;
/** An entry's time of use is renewed when it is older than this. */
const RENEW_AFTER_MS = 3_600_000;
/** Trimming starts above the cap and ends below this share of it, so that it is rare. */
const TRIM_TO = 0.9;
/** Bytes written since the last count of the folder, as a share of the cap, before it is counted again. */
const RECOUNT_AFTER = 0.05;
/** A temporary file this old belongs to nobody any more. */
const ABANDONED_AFTER_MS = 3_600_000;
const TEMPORARY = '.tmp';
/** Small files are read in the event loop by so many at a time: a fifth of the work of reading them in libuv's threads. */
const SLICE = 64;
/** A slice that took longer came from a slow disk: the next ones are read in libuv's threads after all, side by side. */
const SLOW_SLICE_MS = 64;

interface StoredEntry {
  readonly file: string;
  readonly bytes: number;
  readonly usedMs: number;
}

export class ContentCache {
  private readonly folder: string;
  private readonly capBytes: number;
  private readonly madeFolders = new Set<string>();
  /** Written by this process since it last counted the folder, and ever. */
  private uncounted = 0;
  private written = 0;
  private trimming: Promise<void> | undefined;

  /** @param options.capBytes all entries of all kinds together; the least recently used go first */
  constructor(options: { folder: string; capBytes: number }) {
    this.folder = options.folder;
    this.capBytes = options.capBytes;
  }

  /** An entry's data, or undefined when there is none or it is damaged (then it is removed). */
  async read(kind: CacheKind, key: string): Promise<Buffer | undefined> {
    const entry = openStored(this.fileOf(kind, key));
    if (entry === undefined) return undefined;
    let bytesRead = 0;
    try {
      ({ bytesRead } = await readAsync(entry.handle, entry.bytes, 0, entry.bytes.length, 0));
    } catch {
      // then it is as good as damaged
    }
    return closeStored(entry, bytesRead);
  }

  /** Many small entries, features for example, in the order of the keys: what `read` gives for each, sooner. */
  async readMany(kind: CacheKind, keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    const entries: (Buffer | undefined)[] = [];
    let quick = true;
    for (let from = 0; from < keys.length; from += SLICE) {
      const slice = keys.slice(from, from + SLICE);
      if (!quick) {
        entries.push(...await Promise.all(slice.map((key) => this.read(kind, key))));
        continue;
      }
      const began = performance.now();
      entries.push(...slice.map((key) => this.readNow(kind, key)));
      quick = performance.now() - began < SLOW_SLICE_MS;
      await nextTurn();
    }
    return entries;
  }

  /** Bytes that entries of `dataBytes` each will add: those that are not there yet, a key named twice once. Never more than the cap. */
  async missingBytes(kind: CacheKind, keys: readonly string[], dataBytes: number): Promise<number> {
    let missing = 0;
    const distinct = [...new Set(keys)];
    for (const [index, key] of distinct.entries()) {
      if (statSync(this.fileOf(kind, key), { throwIfNoEntry: false }) === undefined) missing += 1;
      if (index % SLICE === SLICE - 1) await nextTurn();
    }
    return Math.min(missing * (HEADER_BYTES + dataBytes), this.capBytes);
  }

  /** Whether there is an entry, its data unseen. */
  async has(kind: CacheKind, key: string): Promise<boolean> {
    return stat(this.fileOf(kind, key)).then((info) => info.size > HEADER_BYTES, () => false);
  }

  /**
   * Keeps an entry. Does nothing once this process has written the whole cap: data larger than the cache would push itself out.
   * @throws the file system's error, a full disk for example; the cache is as before then
   */
  async write(kind: CacheKind, key: string, data: Uint8Array): Promise<void> {
    const bytes = HEADER_BYTES + data.byteLength;
    if (this.written + bytes > this.capBytes * TRIM_TO) return;
    this.written += bytes;
    const file = this.fileOf(kind, key);
    const temporary = path.join(path.dirname(file), `${TEMPORARY}-${randomBytes(8).toString('hex')}`);
    await this.makeFolder(path.dirname(file));
    let handle: number;
    try {
      handle = await openAsync(temporary, 'wx', 0o600);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      this.madeFolders.clear(); // another process has cleared the cache
      await this.makeFolder(path.dirname(file));
      handle = await openAsync(temporary, 'wx', 0o600);
    }
    try {
      try {
        const { bytesWritten } = await writevAsync(handle, [header(data), data]);
        if (bytesWritten !== bytes) throw new Error(`${bytesWritten} of ${bytes} bytes written`); // a disk that is just full
      } finally {
        closeSync(handle);
      }
      renameSync(temporary, file);
    } catch (error) {
      remove(temporary);
      throw error;
    }
    this.uncounted += bytes;
    // In the background, at most once for each twentieth of the cap; what goes wrong there, the next trim tries again.
    if (this.uncounted > this.capBytes * RECOUNT_AFTER && this.trimming === undefined) this.trim().catch(() => undefined);
  }

  /** Bytes of all entries. */
  async size(): Promise<number> {
    let bytes = 0;
    for await (const entries of this.shards()) for (const entry of entries) bytes += entry.bytes;
    return bytes;
  }

  /** Removes the least recently used entries if the cache is above its cap, and what interrupted writers left. */
  async trim(): Promise<void> {
    const before = this.trimming ?? Promise.resolve(); // it may have passed by what was written since
    const trimming = before.then(() => this.trimNow(), () => this.trimNow());
    this.trimming = trimming;
    try {
      await trimming;
    } finally {
      if (this.trimming === trimming) this.trimming = undefined;
    }
  }

  /** Removes all entries. */
  async clear(): Promise<void> {
    for (const kind of CACHE_KINDS) await rm(path.join(this.folder, kind), { recursive: true, force: true, maxRetries: 3 });
    this.madeFolders.clear();
    this.written = 0;
    this.uncounted = 0;
  }

  /** As `read`, in the event loop. */
  private readNow(kind: CacheKind, key: string): Buffer | undefined {
    const entry = openStored(this.fileOf(kind, key));
    if (entry === undefined) return undefined;
    let bytesRead = 0;
    try {
      bytesRead = readSync(entry.handle, entry.bytes, 0, entry.bytes.length, 0);
    } catch {
      // then it is as good as damaged
    }
    return closeStored(entry, bytesRead);
  }

  private async trimNow(): Promise<void> {
    this.uncounted = 0;
    const all: StoredEntry[] = [];
    let bytes = 0;
    for await (const entries of this.shards()) {
      for (const entry of entries) {
        bytes += entry.bytes;
        all.push(entry);
      }
    }
    if (bytes <= this.capBytes) return;
    all.sort((a, b) => a.usedMs - b.usedMs);
    for (const entry of all) {
      if (bytes <= this.capBytes * TRIM_TO) return;
      await unlink(entry.file).catch(() => undefined); // another process trims too
      bytes -= entry.bytes;
    }
  }

  /** The entries, folder by folder, so that a large cache holds up nobody. Abandoned temporary files are removed on the way. */
  private async* shards(): AsyncGenerator<StoredEntry[]> {
    for (const kind of CACHE_KINDS) {
      const shards = await readdir(path.join(this.folder, kind)).catch(() => []);
      for (const shard of shards) {
        const folder = path.join(this.folder, kind, shard);
        const found = await readdir(folder).catch(() => []);
        const entries = await Promise.all(found.map(async (name): Promise<StoredEntry[]> => {
          const file = path.join(folder, name);
          const info = await stat(file).catch(() => undefined);
          if (info?.isFile() !== true) return [];
          if (name.startsWith(TEMPORARY) && Date.now() - info.mtimeMs > ABANDONED_AFTER_MS) {
            await unlink(file).catch(() => undefined);
            return [];
          }
          return [{ file, bytes: info.size, usedMs: info.mtimeMs }];
        }));
        yield entries.flat();
      }
    }
  }

  private fileOf(kind: CacheKind, key: string): string {
    const name = createHash('sha256').update(key).digest('hex');
    return path.join(this.folder, kind, name.slice(0, 2), name.slice(2));
  }

  private async makeFolder(folder: string): Promise<void> {
    if (this.madeFolders.has(folder)) return;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    this.madeFolders.add(folder);
  }
}

/** An entry's file, open, and room for its bytes. */
interface OpenEntry {
  readonly file: string;
  readonly handle: number;
  readonly bytes: Buffer;
  readonly usedMs: number;
}

/** Opens an entry's file in the event loop, which is sooner done than asked of a thread; undefined when there is none. */
function openStored(file: string): OpenEntry | undefined {
  let handle: number | undefined;
  try {
    handle = openSync(file, 'r');
    const info = fstatSync(handle);
    return { file, handle, bytes: Buffer.allocUnsafeSlow(info.size), usedMs: info.mtimeMs };
  } catch {
    if (handle !== undefined) closeSync(handle);
    return undefined; // absent, or unreadable, which comes to the same
  }
}

/** Closes an entry's file, renews its time of use, and gives its data; a damaged one is removed. */
function closeStored(entry: OpenEntry, bytesRead: number): Buffer | undefined {
  const data = openEntry(entry.bytes.subarray(0, bytesRead));
  if (data !== undefined && Date.now() - entry.usedMs > RENEW_AFTER_MS) renew(entry.handle);
  closeSync(entry.handle);
  if (data === undefined) remove(entry.file);
  return data;
}

/** Marks an entry as used now; a cache on a read-only disk still serves. */
function renew(handle: number): void {
  const now = new Date();
  try {
    futimesSync(handle, now, now);
  } catch {
    // it counts as older than it is
  }
}

/** Removes a file, unless another process was faster. */
function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // gone, or on a read-only disk: it counts as absent the next time too
  }
}

/** Bytes that an entry of `dataBytes` takes in the cache. */
export function entryBytes(dataBytes: number): number {
  return HEADER_BYTES + dataBytes;
}

function header(data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(crc32(data), 4);
  bytes.writeBigUInt64LE(BigInt(data.byteLength), 8);
  return bytes;
}

/** The data of an entry's bytes, or undefined when they are not what was written. */
function openEntry(bytes: Buffer): Buffer | undefined {
  if (bytes.length <= HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const data = bytes.subarray(HEADER_BYTES);
  return bytes.readBigUInt64LE(8) === BigInt(data.length) && crc32(data) === bytes.readUInt32LE(4) ? data : undefined;
}
