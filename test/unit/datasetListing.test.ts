import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { listDataset, looksLikeDataset } from '../../src/dataset/listing.js';
import { detectImageFormat } from '../../src/dataset/imageFormat.js';
import { ThawError } from '../../src/protocol/errors.js';

const JPEG_HEAD = Buffer.from('ffd8ffe000104a464946', 'hex');
let root: string;

beforeEach(async () => { root = await mkdtemp(path.join(tmpdir(), 'thaw-listing-')); });
afterEach(() => rm(root, { recursive: true, force: true }));

/** Files by relative path; content is a JPEG's first bytes unless given. */
async function put(...files: (string | [string, string | Buffer])[]): Promise<void> {
  for (const entry of files) {
    const [file, content] = typeof entry === 'string' ? [entry, JPEG_HEAD] : entry;
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), content);
  }
}

function fails(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.kind, 'input');
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(error.next.length > 0);
    return true;
  };
}

describe('listDataset', () => {
  test('lists root/class/image, classes in code unit order, subfolders included', async () => {
    await put('zebra/a.jpg', 'Zoo/1.png', 'ant/deep/er/b.WEBP', 'ant/a.JPEG');
    const listing = await listDataset(root);
    assert.deepEqual(listing.classes, ['Zoo', 'ant', 'zebra']);
    assert.equal(listing.layout, 'split');
    assert.equal(listing.name, path.basename(root));
    assert.deepEqual(listing.images.map(({ path: file, class: index, split, bytes }) => [file, index, split, bytes]), [
      ['Zoo/1.png', 0, undefined, 10], ['ant/a.JPEG', 1, undefined, 10], ['ant/deep/er/b.WEBP', 1, undefined, 10], ['zebra/a.jpg', 2, undefined, 10],
    ]);
    assert.deepEqual(listing.leftOut, []);
    assert.deepEqual(listing.warnings, []);
  });

  for (const [train, validation] of [['train', 'val'], ['Train', 'VALID'], ['TRAIN', 'validation']] as const) {
    test(`reads the split of ${train}/ and ${validation}/`, async () => {
      await put(`${train}/a/1.jpg`, `${train}/b/2.jpg`, `${validation}/a/3.jpg`, `${validation}/b/4.jpg`, 'test/b/5.jpg', 'notes/x.jpg');
      const listing = await listDataset(root);
      assert.equal(listing.layout, 'given');
      assert.deepEqual(listing.classes, ['a', 'b']);
      assert.deepEqual(listing.images.map(({ path: file, class: index, split }) => [file, index, split]), [
        [`${train}/a/1.jpg`, 0, 'train'], [`${train}/b/2.jpg`, 1, 'train'], [`${validation}/a/3.jpg`, 0, 'validation'],
        [`${validation}/b/4.jpg`, 1, 'validation'], ['test/b/5.jpg', 1, 'test'],
      ]);
      assert.match(listing.warnings.join('\n'), /Beside the split folders, ignored: "notes"/);
      assert.match(listing.warnings.join('\n'), /No images in "test" for "a"/);
    });
  }

  test('half a split is an error that says so', async () => {
    await put('train/a/1.jpg', 'train/b/1.jpg');
    await assert.rejects(listDataset(root), fails('incomplete-split', /holds "train" but no folder `val`/));
    await put('test/a/1.jpg');
    await assert.rejects(listDataset(root), fails('incomplete-split', /holds "test" and "train" but no folder `val`/));
  });

  test('the other half of a split too, and a file in its place', async () => {
    await put('val/a/1.jpg', 'val/b/1.jpg');
    await assert.rejects(listDataset(root), fails('incomplete-split', /holds "val" but no folder `train`/));
    await put(['train', 'not a folder']);
    await assert.rejects(listDataset(root), fails('class-not-a-folder', /train is a file, where a folder is expected/));
  });

  test('two folders for one split are ambiguous', async () => {
    await put('train/a/1.jpg', 'val/a/1.jpg', 'valid/a/1.jpg');
    await assert.rejects(listDataset(root), fails('ambiguous-split', /"val" and "valid"/));
  });

  test('`train` may be the name of a class', async () => {
    await put('train/1.jpg', 'plane/1.jpg', 'ship/1.jpg');
    const listing = await listDataset(root);
    assert.equal(listing.layout, 'split');
    assert.deepEqual(listing.classes, ['plane', 'ship', 'train']);
  });

  test('a class that is only in validation, and one that differs in letter case only', async () => {
    await put('train/a/1.jpg', 'train/b/1.jpg', 'val/a/1.jpg', 'val/c/1.jpg');
    await assert.rejects(listDataset(root), fails('unknown-class', /val holds class that .*train does not: "c"/));
    await rm(path.join(root, 'val/c'), { recursive: true });
    await put('val/B/1.jpg');
    await assert.rejects(listDataset(root), (error) => error instanceof ThawError && /"b" differs in letter case/.test(error.next));
  });

  test('a file where a class folder is expected', async () => {
    await put('train/a/1.jpg', 'train/b/1.jpg', 'val/a/1.jpg', ['val/b', 'text']);
    await assert.rejects(listDataset(root), fails('class-not-a-folder', /b is a file, where a folder is expected/));
    await assert.rejects(listDataset(path.join(root, 'val/b')), fails('not-a-folder', /is a file/));
    await assert.rejects(listDataset(path.join(root, 'nowhere')), fails('not-a-folder', /There is no folder/));
  });

  test('hidden files and those of operating systems are ignored', async () => {
    await put('a/1.jpg', 'a/.hidden.jpg', 'a/Thumbs.db', 'a/desktop.ini', 'a/.DS_Store', 'a/.ipynb_checkpoints/1-checkpoint.jpg', 'b/1.jpg',
      '.thaw/runs/x/1.jpg', '.ipynb_checkpoints/x.jpg', '__MACOSX/a/._1.jpg');
    const listing = await listDataset(root);
    assert.deepEqual(listing.classes, ['a', 'b']);
    assert.deepEqual(listing.images.map((image) => image.path), ['a/1.jpg', 'b/1.jpg']);
    assert.deepEqual([listing.leftOut, listing.warnings], [[], []]);
  });

  test('images in no class folder are named, other files are counted', async () => {
    await put('a/1.jpg', 'b/1.jpg', 'loose.png', ['labels.csv', 'x'], ['a/notes.txt', 'x'], ['a/1.json', '{}']);
    const listing = await listDataset(root);
    assert.deepEqual(listing.leftOut, [{ path: 'loose.png', reason: 'In no class folder' }]);
    assert.deepEqual(listing.warnings, ['3 files that are not images were ignored: "a/1.json", "a/notes.txt", "labels.csv"']);
  });

  test('a file without an extension is what its bytes say', async () => {
    await put('a/00017', 'a/photo', ['a/README', 'text'], 'b/1.jpg');
    const listing = await listDataset(root);
    assert.deepEqual(listing.images.map((image) => image.path), ['a/00017', 'a/photo', 'b/1.jpg']);
    assert.deepEqual(listing.warnings, ['1 file that is not an image was ignored: "a/README"']);
  });

  test('survives loops of links, follows links to files and to folders elsewhere, names links that lead nowhere', async () => {
    const elsewhere = await mkdtemp(path.join(tmpdir(), 'thaw-elsewhere-'));
    try {
      await writeFile(path.join(elsewhere, 'far.jpg'), JPEG_HEAD);
      await put('a/1.jpg', 'b/1.jpg');
      await symlink('..', path.join(root, 'a/up'));
      await symlink('.', path.join(root, 'a/self'));
      await symlink('/', path.join(root, 'a/everything'));
      await symlink('circle', path.join(root, 'a/circle'));
      await symlink('gone.jpg', path.join(root, 'a/dead.jpg'));
      await symlink('/dev/zero', path.join(root, 'a/zero.jpg'));
      await symlink(path.join(elsewhere, 'far.jpg'), path.join(root, 'a/link.jpg'));
      await symlink(elsewhere, path.join(root, 'c'));
      const listing = await listDataset(root);
      assert.deepEqual(listing.classes, ['a', 'b', 'c']);
      assert.deepEqual(listing.images.map((image) => image.path), ['a/1.jpg', 'a/link.jpg', 'b/1.jpg', 'c/far.jpg']);
      assert.deepEqual(listing.leftOut.map((entry) => entry.path), ['a/circle', 'a/dead.jpg', 'a/everything', 'a/self', 'a/up', 'a/zero.jpg']);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  test('names from disk survive as they are', async () => {
    const odd = '<img src=x onerror=alert(1)>';
    await put(`${odd}/a\n"b".jpg`, 'Ä ö/🐝.jpg');
    const listing = await listDataset(root);
    assert.deepEqual(listing.classes, [odd, 'Ä ö']);
    assert.deepEqual(listing.images.map((image) => image.path), [`${odd}/a\n"b".jpg`, 'Ä ö/🐝.jpg']);
  });

  test('a path that run.json can\'t hold is left out', async () => {
    const deep = Array.from({ length: 6 }, () => 'x'.repeat(200)).join('/');
    await put(`a/${deep}/1.jpg`, 'a/2.jpg', 'b/1.jpg');
    const listing = await listDataset(root);
    assert.deepEqual(listing.images.map((image) => image.path), ['a/2.jpg', 'b/1.jpg']);
    assert.equal(listing.leftOut.length, 1);
    assert.ok(listing.leftOut.every((entry) => entry.path.length <= 1024));
  });

  test('stops when asked to', async () => {
    await put('a/1.jpg', 'b/1.jpg');
    await assert.rejects(listDataset(root, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });
});

describe('looksLikeDataset', () => {
  test('counts by class, and by split where the folder gives one', async () => {
    await put('a/1.jpg', 'a/x/2.png', ['a/n.txt', ''], 'b/1.jpg', 'node_modules/p/logo.png', '.git/x.png');
    assert.deepEqual(await looksLikeDataset(root), { images: 3, classes: [{ name: 'a', count: 2 }, { name: 'b', count: 1 }], layout: 'split', complete: true });
    const given = path.join(root, 'given');
    await put('given/train/a/1.jpg', 'given/train/b/1.jpg', 'given/val/a/1.jpg', 'given/test/b/1.jpg');
    assert.deepEqual(await looksLikeDataset(given), {
      images: 4, layout: 'given', complete: true,
      classes: [{ name: 'a', count: 2, train: 1, validation: 1, test: 0 }, { name: 'b', count: 2, train: 1, validation: 0, test: 1 }],
    });
  });

  test('takes neither a folder of datasets nor a project with pictures for a dataset', async () => {
    await put('pets/cat/1.jpg', 'pets/dog/1.jpg', 'insects/train/ants/1.jpg', 'insects/train/bees/1.jpg', 'insects/val/ants/1.jpg', 'insects/val/bees/1.jpg');
    assert.equal(await looksLikeDataset(root), undefined);
    assert.equal((await looksLikeDataset(path.join(root, 'pets')))?.images, 2);
    assert.equal((await looksLikeDataset(path.join(root, 'insects')))?.images, 4);
    const project = path.join(root, 'project');
    await put('project/media/icon.png', 'project/docs/shot.png', ['project/docs/a.md', ''], ['project/docs/b.md', ''], ['project/src/main.ts', ''], ['project/test/main.ts', ''], 'project/img/logo.png');
    await put(...['a', 'b', 'c'].map((name): [string, string] => [`project/${name}/x.ts`, '']));
    assert.equal(await looksLikeDataset(project), undefined);
  });

  test('is undefined for one class, no images, no folder', async () => {
    await put('a/1.jpg', ['b/1.txt', '']);
    assert.equal(await looksLikeDataset(root), undefined);
    assert.equal(await looksLikeDataset(path.join(root, 'nowhere')), undefined);
  });
});

test('formats are recognised by their first bytes', () => {
  const heif = (brand: string, compatible = ''): Buffer => Buffer.from(`\0\0\0\x20ftyp${brand}\0\0\0\0${compatible}`, 'latin1');
  const bmp = Buffer.alloc(54);
  bmp.write('BM');
  bmp.writeUInt32LE(40, 14);
  for (const [bytes, format] of [
    [JPEG_HEAD, 'JPEG'], [heif('avif'), 'AVIF'], [heif('mif1', 'mif1avifmiaf'), 'AVIF'], [heif('heic'), 'HEIC'], [heif('mif1', 'mif1heic'), 'HEIC'],
    [bmp, 'BMP'], [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg">'), 'SVG'], [Buffer.from('<?xml version="1.0"?>\n<svg>'), 'SVG'],
    [Buffer.from('<html>'), undefined], [Buffer.from('BM, a letter to nobody in particular'), undefined], [Buffer.alloc(0), undefined],
  ] as const) assert.equal(detectImageFormat(bytes), format, bytes.toString('latin1'));
});
