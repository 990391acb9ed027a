// Fetches one file over https: with progress, resumed where it was cut, checked before it has its name. The proxy is the one that HTTPS_PROXY and
// NO_PROXY name; NODE_EXTRA_CA_CERTS adds certificates.
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getProxyForUrl } from 'proxy-from-env';
import { Agent, ProxyAgent, request, type Dispatcher } from 'undici';
import { asStorageError, requireSpace, sha256OfFile } from '../../engine/pipWheel.js';
import { ThawError } from '../../protocol/errors.js';
import { hostMark, isRunning } from '../../storage/leftovers.js';

export interface DownloadOptions {
  /** Where the file is to be; its folder is created. */
  readonly target: string;
  /** Its length, and how far off that may be. */
  readonly bytes: number;
  readonly bytesRounded: number;
  /** Whether it is the right file, by its SHA-256 and length. */
  readonly accepts: (content: { readonly sha256: string; readonly bytes: number }) => boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Milliseconds without a byte until a connection counts as dead. */
  readonly stallMs?: number;
  /** Milliseconds before the first new try; doubled for each after it. */
  readonly retryMs?: number;
}

/** New tries in a row that bring no byte, until it is given up. */
const TRIES = 4;
const REDIRECTS = 5;
const CONNECT_MS = 15_000;
const STALL_MS = 30_000;
const RETRY_MS = 500;
const PROGRESS_INTERVAL_MS = 250;
/** A part that nobody has written to for so long is nobody's, wherever its process was. */
const STALE_AFTER_MS = 24 * 3600 * 1000;

/**
 * Fetches `url` to `target`. Interrupted at any moment, it leaves a hidden part beside the target, from which the next call goes on, and
 * never a file by the target's name that isn't whole and right.
 * @throws ThawError of kind `engine`: `no-network`, `not-on-server`, `weights-damaged`, `disk-full`, `cache-not-writable`, `cancelled`
 */
export async function downloadFile(url: string, options: DownloadOptions): Promise<void> {
  const { target, signal } = options;
  const folder = path.dirname(target);
  const download = new Download(new URL(url), options);
  try {
    await mkdir(folder, { recursive: true });
    await download.run();
  } catch (error) {
    if (error instanceof ThawError) throw error;
    if (signal?.aborted === true) {
      throw new ThawError('engine', 'cancelled', `Fetching ${path.basename(target)} was cancelled`, 'Fetch it again when you like: it goes on from where it was', { cause: error });
    }
    throw asStorageError(error, folder) ?? error;
  } finally {
    await download.close();
  }
}

class Download {
  private readonly folder: string;
  private readonly name: string;
  private readonly dispatcher: Dispatcher;
  private part: FileHandle | undefined;
  private partPath = '';
  /** Bytes of the part that are written. */
  private size = 0;
  /** The server's name for the content that the part began with; known within one call only, the hash at the end holds for all. */
  private etag: string | undefined;
  private reportedAt = 0;

  constructor(private readonly url: URL, private readonly options: DownloadOptions) {
    this.folder = path.dirname(options.target);
    this.name = path.basename(options.target);
    const stall = options.stallMs ?? STALL_MS;
    const proxy = getProxyForUrl(url.href);
    const timeouts = { headersTimeout: stall, bodyTimeout: stall, connect: { timeout: CONNECT_MS } };
    this.dispatcher = proxy === '' ? new Agent(timeouts) : new ProxyAgent({ ...timeouts, uri: proxy });
  }

  async run(): Promise<void> {
    const { signal, bytes } = this.options;
    await this.claimPart();
    await requireSpace(this.folder, Math.max(0, bytes - this.size), `to fetch ${this.name}`);
    let resumed = this.size > 0;
    for (;;) {
      await this.receiveAll();
      const sha256 = await sha256OfFile(this.partPath, signal);
      if (this.options.accepts({ sha256, bytes: this.size })) break;
      await this.restart();
      // What an earlier call left may have been another content, or damaged: once more, from the beginning.
      if (!resumed) throw new ThawError('engine', 'weights-damaged', `${this.name} arrived damaged or changed: its SHA-256 is not the one in the catalogue`, 'Fetch it again; if it stays, something between here and the server changes it');
      resumed = false;
    }
    await this.part?.sync();
    await this.part?.close();
    this.part = undefined;
    await rename(this.partPath, this.options.target);
    this.report(true);
  }

  /** Leaves what has arrived for the next call, under a name that belongs to no process. */
  async close(): Promise<void> {
    try {
      if (this.part !== undefined) {
        await this.part.close();
        if (this.size === 0) await rm(this.partPath, { force: true });
        else await rename(this.partPath, path.join(this.folder, `.${this.name}.part`));
      }
    } finally {
      await this.dispatcher.destroy();
    }
  }

  /** Takes over the largest part that no living process works on, by renaming it, which only one can; removes the others. */
  private async claimPart(): Promise<void> {
    this.partPath = path.join(this.folder, `.${this.name}.${hostMark()}-${process.pid}-${randomBytes(4).toString('hex')}.part`);
    const found: { readonly file: string; readonly size: number }[] = [];
    for (const name of await readdir(this.folder)) {
      if (!name.startsWith(`.${this.name}.`) || !name.endsWith('.part')) continue;
      const owner = /\.(?<host>[0-9a-f]+)-(?<pid>\d+)-[0-9a-f]+\.part$/.exec(name)?.groups;
      const file = path.join(this.folder, name);
      const about = await stat(file).catch(() => undefined); // claimed by another process just now
      if (about === undefined) continue;
      const abandoned = owner === undefined || (owner['host'] === hostMark() && !isRunning(Number(owner['pid']))) || Date.now() - about.mtimeMs > STALE_AFTER_MS;
      if (abandoned) found.push({ file, size: about.size });
    }
    found.sort((first, second) => second.size - first.size);
    let claimed = false;
    for (const { file } of found) {
      if (claimed) await rm(file, { force: true });
      else claimed = await rename(file, this.partPath).then(() => true, () => false); // else another process was first
    }
    this.part = await open(this.partPath, claimed ? 'r+' : 'wx+');
    this.size = (await this.part.stat()).size;
    if (this.size > this.most) await this.restart();
  }

  private get least(): number {
    return this.options.bytes - this.options.bytesRounded;
  }

  private get most(): number {
    return this.options.bytes + this.options.bytesRounded;
  }

  private async restart(): Promise<void> {
    await this.part?.truncate(0);
    this.size = 0;
    this.etag = undefined;
  }

  /** Until all bytes are there; what is cut or stalls is tried again from where it was. */
  private async receiveAll(): Promise<void> {
    const { signal, retryMs = RETRY_MS } = this.options;
    for (let tries = 0; ;) {
      const before = this.size;
      try {
        signal?.throwIfAborted();
        if (this.size === this.most) return;
        await this.receive();
        return;
      } catch (error) {
        if (error instanceof ThawError || signal?.aborted === true || asStorageError(error, this.folder) !== undefined) throw error;
        tries = this.size > before ? 0 : tries + 1;
        if (tries > TRIES || isFinal(error)) throw this.unreachable(error);
      }
      await delay(retryMs * 2 ** tries, undefined, signal === undefined ? {} : { signal });
    }
  }

  /** One request for what is missing. */
  private async receive(): Promise<void> {
    const { statusCode, headers, body } = await this.ask();
    body.on('error', () => undefined); // the loop below learns of it too, but it may come before the loop, and then nobody else listens
    try {
      if (statusCode === 416) { // nothing is left to send, or the part is longer than the file
        if (this.size < this.least) await this.restart();
        else return;
        throw new Error('the server has less than what was there');
      }
      if (statusCode >= 500 || statusCode === 429 || statusCode === 408) throw new Error(`the server answers ${statusCode}`);
      if (statusCode !== 200 && statusCode !== 206) throw this.notOnServer(`answers ${statusCode}`);
      let total = Number(header(headers['content-length']) ?? NaN);
      if (statusCode === 206) {
        const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(header(headers['content-range']) ?? '');
        total = Number(range?.[2] ?? NaN);
        if (range === null || Number(range[1]) !== this.size) {
          await this.restart();
          throw new Error('the server sends another part than was asked for');
        }
      } else if (this.size > 0) {
        await this.restart(); // a server without ranges, or with another content than the part began with
      }
      if (Number.isFinite(total) && (total < this.least || total > this.most)) {
        throw this.notOnServer(`has a file of ${total} bytes instead of ${this.options.bytes}`);
      }
      const etag = header(headers['etag']);
      this.etag = etag?.startsWith('W/') === false ? etag : undefined;
      for await (const chunk of body) await this.append(chunk as Buffer);
      if (Number.isFinite(total) ? this.size !== total : this.size < this.least) throw new Error('the connection was cut');
    } finally {
      await body.dump().catch(() => undefined); // what is left of an answer that is not wanted
    }
  }

  /** The answer at the end of the redirects. */
  private async ask(): Promise<Dispatcher.ResponseData> {
    const { signal } = this.options;
    let url = this.url;
    for (let redirects = 0; ; redirects++) {
      const answer = await request(url, {
        dispatcher: this.dispatcher,
        ...(signal !== undefined && { signal }),
        headers: {
          'accept-encoding': 'identity', 'user-agent': 'thaw',
          ...(this.size > 0 && { range: `bytes=${this.size}-` }),
          ...(this.size > 0 && this.etag !== undefined && { 'if-range': this.etag }),
        },
      });
      const location = header(answer.headers['location']);
      if (![301, 302, 303, 307, 308].includes(answer.statusCode) || location === undefined) return answer;
      await answer.body.dump();
      if (redirects === REDIRECTS) throw this.notOnServer('leads from one address to the next without end');
      const next = new URL(location, url);
      if (next.protocol !== 'https:' && next.protocol !== url.protocol) throw this.notOnServer(`leads to ${next.protocol.slice(0, -1)}, which is not encrypted`);
      url = next;
    }
  }

  private async append(chunk: Buffer): Promise<void> {
    if (this.size + chunk.length > this.most) throw this.notOnServer(`sends more than the ${this.options.bytes} bytes of the catalogue`);
    let at = 0;
    while (at < chunk.length) {
      const { bytesWritten } = await this.part?.write(chunk, at, chunk.length - at, this.size) ?? { bytesWritten: 0 };
      at += bytesWritten;
      this.size += bytesWritten;
    }
    this.report(false);
  }

  private report(last: boolean): void {
    const now = performance.now();
    if (!last && now - this.reportedAt < PROGRESS_INTERVAL_MS) return;
    this.reportedAt = now;
    this.options.onProgress?.(this.size, last ? this.size : Math.max(this.options.bytes, this.size));
  }

  private unreachable(error: unknown): ThawError {
    return new ThawError('engine', 'no-network', `${this.name} could not be fetched: ${this.url.host} can't be reached (${reason(error)})`, 'Check the network and the proxy (HTTPS_PROXY), then fetch it again', { cause: error });
  }

  private notOnServer(what: string): ThawError {
    return new ThawError('engine', 'not-on-server', `${this.name} could not be fetched: ${this.url.host} ${what}`, 'Fetch it again later; if it stays, report it', {});
  }
}

/** What waiting a second won't change: an unknown name, nobody at the port, a certificate that isn't trusted, a proxy that refuses. */
function isFinal(error: unknown): boolean {
  const { code = '', message } = rootOf(error);
  return /^(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code) || /^Proxy response/.test(message);
}

function reason(error: unknown): string {
  const { code, message } = rootOf(error);
  switch (code) {
    case 'ENOTFOUND': case 'EAI_AGAIN': return 'its name is unknown here';
    case 'ECONNREFUSED': return 'connection refused';
    case 'UND_ERR_BODY_TIMEOUT': case 'UND_ERR_HEADERS_TIMEOUT': return 'it stopped answering';
    case 'UND_ERR_CONNECT_TIMEOUT': return 'no answer';
    default: return message.slice(0, 200);
  }
}

/** The error under those that libraries wrap around it. */
function rootOf(error: unknown): { readonly code?: string; readonly message: string } {
  let root = error;
  for (let depth = 0; depth < 5 && root instanceof Error && root.cause instanceof Error; depth++) root = root.cause;
  if (root instanceof AggregateError && root.errors[0] instanceof Error) root = root.errors[0];
  const { code } = root as { code?: unknown };
  return { ...(typeof code === 'string' && { code }), message: root instanceof Error ? root.message : String(root) };
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
