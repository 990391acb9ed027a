import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { build } from 'esbuild';
import type { WeightsEntry } from '../../src/network/weights/catalogue.js';
import { downloadFile, type DownloadOptions } from '../../src/network/weights/download.js';
import { provideEntry } from '../../src/network/weights/provide.js';
import { ThawError } from '../../src/protocol/errors.js';
import { hostMark } from '../../src/storage/leftovers.js';

const CONTENT = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 2654435761) >>> 24));
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');

interface Seen {
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

interface Server {
  readonly url: string;
  readonly seen: readonly Seen[];
}

type Handler = (request: http.IncomingMessage, response: http.ServerResponse, count: number) => void;

/** A server on a port of its own that goes when the test ends. `count`: how many requests came before. */
async function serve(context: TestContext, handler: Handler): Promise<Server> {
  const seen: Seen[] = [];
  const server = http.createServer((request, response) => {
    seen.push({ path: request.url ?? '', range: request.headers.range, ifRange: request.headers['if-range'] as string | undefined });
    handler(request, response, seen.length - 1);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  context.after(() => new Promise<void>((resolve) => {
    server.closeAllConnections();
    server.close(() => { resolve(); });
  }));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/w.pth`, seen };
}

/** As a server of files answers: whole, or the part that is asked for. `cutAfter`: bytes after which the connection breaks. */
function sendFile(request: http.IncomingMessage, response: http.ServerResponse, options: { content?: Buffer; cutAfter?: number; etag?: string } = {}): void {
  const { content = CONTENT, cutAfter, etag = '"one"' } = options;
  const given = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const ifRange = request.headers['if-range'];
  const from = given === null || (ifRange !== undefined && ifRange !== etag) ? undefined : Number(given[1]);
  if (from !== undefined && from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const part = content.subarray(from ?? 0);
  response.writeHead(from === undefined ? 200 : 206, {
    'content-length': part.length, etag, ...(from !== undefined && { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
  });
  if (cutAfter === undefined) response.end(part);
  else response.write(part.subarray(0, cutAfter), () => { response.destroy(); });
}

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'thaw-download-'));
  context.after(() => { rmSync(folder, { recursive: true, force: true }); });
  return folder;
}

function download(url: string, folder: string, options: Partial<DownloadOptions> = {}): Promise<void> {
  return downloadFile(url, {
    target: path.join(folder, 'w.pth'), bytes: CONTENT.length, bytesRounded: 0,
    accepts: ({ sha256, bytes }) => sha256 === SHA256 && bytes === CONTENT.length, retryMs: 1, ...options,
  });
}

async function failure(work: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => error instanceof ThawError && error.kind === 'engine' && error.code === code && message.test(error.message));
}

const arrived = (folder: string): boolean => readFileSync(path.join(folder, 'w.pth')).equals(CONTENT);

void test('fetches, reports, and leaves the file alone', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  const reports: (readonly [number, number])[] = [];
  await download(server.url, folder, { onProgress: (...report) => reports.push(report) });
  assert.ok(arrived(folder));
  assert.deepEqual(readdirSync(folder), ['w.pth']);
  assert.deepEqual(reports.at(-1), [CONTENT.length, CONTENT.length]);
  assert.ok(reports.every(([done], index) => index === 0 || done >= (reports[index - 1]?.[0] ?? 0)));
  assert.equal(server.seen[0]?.range, undefined);
});

void test('goes on where a connection was cut, as often as bytes arrive', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response, count) => { sendFile(request, response, count < 8 ? { cutAfter: 100_000 } : {}); });
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.equal(server.seen.length, 9);
  // What arrives with the cut may be lost with it, so where exactly it goes on is the system's choice.
  const starts = server.seen.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0));
  assert.ok(starts.every((start, index) => index === 0 || (start >= (starts[index - 1] ?? 0) && start <= 100_000 * index)), starts.join(', '));
  assert.ok(server.seen.slice(1).every(({ ifRange }) => ifRange === '"one"'));
});

void test('begins anew where the content has changed meanwhile, or the server knows no ranges', async (context) => {
  for (const ignoresRanges of [false, true]) {
    const folder = folderFor(context);
    const server = await serve(context, (request, response, count) => {
      if (ignoresRanges) delete request.headers.range;
      sendFile(request, response, count === 0 ? { content: Buffer.alloc(CONTENT.length, 7), cutAfter: 500_000, etag: '"old"' } : {});
    });
    await download(server.url, folder);
    assert.ok(arrived(folder));
    assert.equal(server.seen.length, 2);
  }
});

void test('a part of another content is noticed by the hash, and fetched once more from the beginning', async (context) => {
  const folder = folderFor(context);
  writeFileSync(path.join(folder, '.w.pth.part'), Buffer.alloc(300_000, 9));
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.deepEqual(server.seen.map(({ range }) => range), ['bytes=300000-', undefined]);
  assert.deepEqual(readdirSync(folder), ['w.pth']);
});

void test('a process that is killed leaves a part, from which the next one goes on', async (context) => {
  const folder = folderFor(context);
  let stalled: (() => void) | undefined;
  const stalling = new Promise<void>((resolve) => { stalled = resolve; });
  const server = await serve(context, (request, response, count) => {
    if (count > 0) { sendFile(request, response); return; }
    response.writeHead(200, { 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, 400_000), () => { stalled?.(); });
  });
  const script = path.join(folderFor(context), 'child.cjs');
  await build({
    entryPoints: [path.join(process.cwd(), 'test/unit/weightsDownloadChild.ts')], outfile: script, bundle: true, platform: 'node', format: 'cjs', target: 'node20', logLevel: 'error',
  });
  const child = spawn(process.execPath, [script, server.url, folder, String(CONTENT.length)], { stdio: 'ignore' });
  context.after(() => { child.kill('SIGKILL'); });
  const exited = new Promise<void>((resolve) => { child.once('exit', () => { resolve(); }); });
  await stalling;
  const part = (): string | undefined => readdirSync(folder).find((name) => name.endsWith('.part') && readFileSync(path.join(folder, name)).length === 400_000);
  for (let tries = 0; part() === undefined && tries < 500; tries++) await new Promise((resolve) => { setTimeout(resolve, 10); });
  assert.ok(part() !== undefined);
  child.kill('SIGKILL');
  await exited;
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.equal(server.seen[1]?.range, 'bytes=400000-');
  assert.deepEqual(readdirSync(folder), ['w.pth']);
});

void test('parts of living processes are left alone, the largest of the others is taken, a day-old one too', async (context) => {
  const folder = folderFor(context);
  const living = `.w.pth.${hostMark()}-${process.pid}-aa.part`;
  writeFileSync(path.join(folder, living), CONTENT.subarray(0, 900_000));
  writeFileSync(path.join(folder, `.w.pth.${hostMark()}-999999999-bb.part`), CONTENT.subarray(0, 100_000));
  const foreign = path.join(folder, '.w.pth.ff-1-cc.part');
  writeFileSync(foreign, CONTENT.subarray(0, 200_000));
  utimesSync(foreign, 1, 1);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.equal(server.seen[0]?.range, 'bytes=200000-');
  assert.deepEqual(readdirSync(folder).sort(), [living, 'w.pth']);
});

void test('all bytes there before the name was given: checked, and not fetched again', async (context) => {
  const folder = folderFor(context);
  writeFileSync(path.join(folder, '.w.pth.part'), CONTENT);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  await download(server.url, folder);
  assert.deepEqual([arrived(folder), server.seen.length], [true, 0]);
  // Where the length is known roughly only, the server says that nothing is missing.
  rmSync(path.join(folder, 'w.pth'));
  writeFileSync(path.join(folder, '.w.pth.part'), CONTENT);
  await download(server.url, folder, { bytes: CONTENT.length + 10, bytesRounded: 20 });
  assert.deepEqual([arrived(folder), server.seen.length], [true, 1]);
});

void test('another content than the catalogue\'s is never used, and not kept', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => { sendFile(request, response, { content: Buffer.alloc(CONTENT.length, 1) }); });
  await failure(download(server.url, folder), 'weights-damaged', /SHA-256 is not the one/);
  assert.deepEqual(readdirSync(folder), []);
});

void test('another length is refused before it is fetched, an endless one while it is', async (context) => {
  const folder = folderFor(context);
  let sent = 0;
  const server = await serve(context, (request, response, count) => {
    if (count === 0) { sendFile(request, response, { content: Buffer.alloc(5_000_000) }); return; }
    const send = (): void => { // without a length, without an end
      if (response.destroyed) return;
      sent += 65536;
      response.write(Buffer.alloc(65536), () => { setImmediate(send); });
    };
    send();
  });
  await failure(download(server.url, folder), 'not-on-server', /has a file of 5000000 bytes instead of 1000000/);
  await failure(download(server.url, folder), 'not-on-server', /sends more than the 1000000 bytes/);
  assert.ok(sent < 20_000_000, String(sent));
});

void test('what is not there, and who does not answer, is said in a sentence', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => {
    const status = Number(/\d{3}/.exec(request.url ?? '')?.[0] ?? 404);
    response.writeHead(status).end('no');
  });
  await failure(download(server.url, folder), 'not-on-server', /127\.0\.0\.1:\d+ answers 404/);
  assert.equal(server.seen.length, 1, 'asked once');
  await failure(download(new URL('/503', server.url).href, folder), 'no-network', /the server answers 503/);
  assert.equal(server.seen.length, 6, 'asked again before it is given up');
  const { port } = new URL(server.url);
  const closed = await serve(context, () => undefined);
  assert.notEqual(port, new URL(closed.url).port);
  await failure(download('http://127.0.0.1:1/w.pth', folder), 'no-network', /can't be reached \(connection refused\)/);
  assert.deepEqual(readdirSync(folder), []);
});

void test('a connection that stalls is tried again from where it was', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response, count) => {
    if (count > 0) { sendFile(request, response); return; }
    response.writeHead(200, { 'content-length': CONTENT.length, etag: '"one"' });
    response.write(CONTENT.subarray(0, 250_000));
  });
  await download(server.url, folder, { stallMs: 2000 });
  assert.ok(arrived(folder));
  assert.match(server.seen[1]?.range ?? '', /^bytes=[1-9]\d{3,5}-$/);
  assert.equal(server.seen.length, 2);
});

void test('follows redirects, a few', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => {
    if (request.url === '/w.pth') response.writeHead(302, { location: '/there/w.pth' }).end();
    else if (request.url === '/there/w.pth') sendFile(request, response);
    else response.writeHead(301, { location: request.url ?? '' }).end();
  });
  await download(server.url, folder);
  assert.ok(arrived(folder));
  await failure(download(new URL('/round', server.url).href, folder), 'not-on-server', /without end/);
  assert.equal(server.seen.length, 2 + 6);
  const elsewhere = await serve(context, (_request, response) => { response.writeHead(302, { location: 'file:///etc/passwd' }).end(); });
  await failure(download(elsewhere.url, folder), 'not-on-server', /leads to file/);
});

void test('cancelled, it stops at once and goes on later', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response, count) => {
    if (count > 0) { sendFile(request, response); return; }
    response.writeHead(200, { 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, 600_000));
  });
  const cancel = new AbortController();
  const began = performance.now();
  await failure(download(server.url, folder, {
    signal: cancel.signal,
    onProgress: () => { setTimeout(() => { cancel.abort(); }, 100); },
  }), 'cancelled', /was cancelled/);
  assert.ok(performance.now() - began < 5000);
  assert.deepEqual(readdirSync(folder), ['.w.pth.part']);
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.match(server.seen[1]?.range ?? '', /^bytes=[1-6]\d*-$/);
});

void test('two at once end with one file', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  await Promise.all([download(server.url, folder), download(server.url, folder)]);
  assert.ok(arrived(folder));
  assert.deepEqual(readdirSync(folder), ['w.pth']);
});

void test('goes through the proxy that the environment names, and past it where that says so', async (context) => {
  const folder = folderFor(context);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  let tunnels = 0;
  const proxy = http.createServer();
  proxy.on('connect', (_request, socket) => {
    tunnels++;
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise<void>((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  context.after(() => { proxy.close(); });
  const before = { ...process.env };
  context.after(() => { process.env = before; });
  process.env = { ...before, http_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
  await failure(download('http://weights.invalid/w.pth', folder), 'no-network', /Proxy response \(403\)/);
  assert.equal(tunnels, 1);
  process.env['no_proxy'] = '127.0.0.1';
  await download(server.url, folder);
  assert.ok(arrived(folder));
  assert.equal(tunnels, 1);
});

void test('weights land in the cache, are found there, and what is out of reach can be brought by hand', async (context) => {
  const home = folderFor(context);
  const server = await serve(context, (request, response) => { sendFile(request, response); });
  const entry: WeightsEntry = {
    name: 'Some, ImageNet', origin: { kind: 'https', url: server.url }, file: `some-${SHA256.slice(0, 8)}.pth`, sha256: SHA256.slice(0, 8),
    bytes: CONTENT.length + 100, bytesRounded: 200, licence: 'BSD-3-Clause', top1: { accuracy: 0.5, source: 'nobody' },
  };
  const environment = { THAW_HOME: home };
  const file = await provideEntry(entry, { environment });
  assert.deepEqual(file, { path: path.join(home, 'weights', entry.file), sha256: SHA256, name: 'Some, ImageNet', source: server.url, classes: 1000 });
  await provideEntry(entry, { environment });
  assert.equal(server.seen.length, 1, 'what is there is not fetched');
  // A damaged file in its place is replaced.
  writeFileSync(file.path, CONTENT.subarray(1));
  await provideEntry(entry, { environment });
  assert.ok(readFileSync(file.path).equals(CONTENT));

  const offline = { ...entry, file: 'other.pth', origin: { kind: 'https', url: 'http://127.0.0.1:1/other.pth' } } as const;
  await assert.rejects(provideEntry(offline, { environment }), (error) => error instanceof ThawError && error.code === 'no-network'
    && error.next.includes('other.pth from http://127.0.0.1:1/other.pth') && error.next.includes('thaw weights add FILE') && error.next.includes(path.join(home, 'weights')));
  assert.equal(existsSync(path.join(home, 'weights', 'other.pth')), false);
  mkdirSync(path.join(home, 'weights'), { recursive: true });
  writeFileSync(path.join(home, 'weights', 'other.pth'), CONTENT); // put there by hand
  assert.equal((await provideEntry(offline, { environment })).sha256, SHA256);
});
